"""Why another choice has become better: for a change in the world, or because somebody else moved.

1. Each move by choice has a cause, told by an id in the memory and the history. One that follows a move of
   somebody it has to do with has that one's cause; else the id is its own (`checkout@1000000`).
2. It has to do with those whose services it calls or who call its own, whom it wants beside it or away, and
   those who came to where it is.
3. A placement does not move by choice twice for one cause (`hysteresis`, law 3), for `REMEMBERED` seconds
   after the others moved. Who has to leave a cluster leaves it all the same.
"""

from collections.abc import Iterable

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.needs import exposed_service, needs_of
from mesh_placement.schedule.snapshot import Wanted

REMEMBERED = 86_400.0
_NAME = "Chasing"


def cause_of_better(look: Look, wanted: Wanted) -> str:
    """The id of the change that makes another choice better for this placement."""
    own = wanted.memory.moved if wanted.memory.moved is not None else float("-inf")
    after = [
        one
        for one in _movers(look)
        if one.name != wanted.name and (one.memory.moved or 0.0) >= own and _has_to_do(wanted, one)
    ]
    last = max(after, key=lambda one: (one.memory.moved or 0.0, one.name), default=None)
    return last.memory.cause if last is not None else f"{wanted.name}@{look.now:.0f}"


def _movers(look: Look) -> list[Wanted]:
    """Those that moved by choice lately."""
    known = look.memo.get(_NAME)
    if not isinstance(known, list):
        known = look.memo[_NAME] = [
            one
            for one in look.placements.values()
            if one.memory.moved is not None and one.memory.cause and look.now < one.memory.moved + REMEMBERED
        ]
    return known


def _has_to_do(one: Wanted, other: Wanted) -> bool:
    clusters = {share.cluster for share in one.current}
    return (
        _calls(one, other)
        or _calls(other, one)
        or _looks_at(one, other)
        or _looks_at(other, one)
        or any(share.cluster in clusters for share in other.current)
    )


def _calls(one: Wanted, other: Wanted) -> bool:
    brought = {*other.demand.exports, *_exposed(other)}
    return any(need.service in brought for need in needs_of(one))


def _exposed(wanted: Wanted) -> Iterable[str]:
    return (exposed_service(it, namespace=wanted.namespace) for it in wanted.spec.require.exposes)


def _looks_at(one: Wanted, other: Wanted) -> bool:
    return any(
        f"{term.namespace or one.namespace}/{term.placement}" == other.name
        for term in one.spec.require.workloads
    )
