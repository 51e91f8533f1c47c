"""The newest generation of the trust bundle that a cluster goes by with all it has: its *settled* generation.

A process goes by a generation when it believes that one's roots and shows the intermediate that its roster
names for the cluster; a cluster goes by it when all its processes that speak to others do. Whoever rotates a
root waits for this number and for nothing else, so it must never be said too early; too late costs only time.
"""

from collections.abc import Iterable


def settled_generation(before: int, *, generation: int, shows_named: bool) -> int:
    """What a process has settled on that believes the roots of `generation`.

    `before` is what it had settled on until now. With `shows_named` its own chain carries the intermediate
    that the roster of `generation` names for it, or none is named.
    """
    # A bundle that was made anew, of another clusterset, begins at the bottom.
    return generation if shows_named else min(before, generation)


def settled_cluster(own: int, *, replicas: Iterable[str | None]) -> int:
    """What a cluster has settled on: its controller on `own`, its live gateways on what their Leases say.

    None is a Lease that says nothing, by a gateway that does not know of generations yet.
    """
    return min((own, *map(_number, replicas)))


def _number(said: str | None) -> int:
    return int(said) if said is not None and said.isascii() and said.isdigit() and len(said) < 17 else 0
