"""The history of a Placement: who lost replicas to whom, and why."""

from collections.abc import Mapping
from typing import Final

from mesh_placement.objects import Move

MOST: Final = 20
_LONGEST_CAUSE: Final = 1024

Shares = Mapping[str, int | None]
"""Replicas by cluster; None where nothing is counted."""


def moves(before: Shares, after: Shares, *, time: str, cause: str) -> tuple[Move, ...]:
    """What leads from one to the other, in the order of names; a loss goes to the first that gained."""
    losses = {name: lost for name in sorted(before) if (lost := _more(before, after, name))}
    gains = {name: won for name in sorted(after) if (won := _more(after, before, name))}
    counted = any(one is not None for one in (*before.values(), *after.values()))
    return tuple(
        Move(
            time=time,
            source=source,
            target=target,
            replicas=count if counted else None,
            cause=cause[:_LONGEST_CAUSE],
        )
        for source, target, count in _pairs(losses, gains)
    )


def with_moves(history: tuple[Move, ...], more: tuple[Move, ...]) -> tuple[Move, ...]:
    """The last `MOST`."""
    return (*history, *more)[-MOST:]


def _pairs(losses: Mapping[str, int], gains: Mapping[str, int]) -> list[tuple[str, str, int]]:
    found, open_gains = [], dict(gains)
    for source, lost in losses.items():
        for target, won in list(open_gains.items()):
            both = min(lost, won)
            if both:
                found.append((source, target, both))
            lost, open_gains[target] = lost - both, won - both
        if lost:
            found.append((source, "", lost))
    return found + [("", target, won) for target, won in open_gains.items() if won]


def _more(one: Shares, other: Shares, name: str) -> int:
    """How much more `name` has in `one`; what is not counted is one."""
    return max(0, _amount(one, name) - _amount(other, name))


def _amount(shares: Shares, name: str) -> int:
    if name not in shares:
        return 0
    count = shares[name]
    return 1 if count is None else count
