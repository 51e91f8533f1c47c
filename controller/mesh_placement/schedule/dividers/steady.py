"""What all dividers share: bounds, tiers, and that nothing moves without need.

1. No cluster gets more than `upper`. Each gets its `least`; where replicas are too few for that, none more.
2. Growing touches only what is new: it fills tier 0 first, then the next. Shrinking empties the last first.
3. So one replica more or less moves one, and a cluster that goes moves only its own.
4. The order in which slots are given does not matter: equals are told apart by score, then by `tie`.

How replicas are spread within one tier is the divider's own: it is a `Spreading`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace

from mesh_placement.schedule.dividers.bounded import Line, shares
from mesh_placement.schedule.plugins import Slot


class Spreading(Protocol):
    """How a divider adds to the slots of one tier, and takes from them."""

    def add(self, total: int, slots: Sequence[Slot], have: Sequence[int]) -> list[int]:
        """`total` for them together; none less than it has, none beyond its upper bound."""

    def take(self, total: int, slots: Sequence[Slot], have: Sequence[int], least: Sequence[int]) -> list[int]:
        """`total` for them together; none more than it has, none below its least."""


def upper(slot: Slot) -> int:
    """What the slot takes at most."""
    room = slot.current + max(0, slot.room)
    return room if slot.most is None else max(0, min(slot.most, room))


def by_merit(slot: Slot) -> tuple[float, int, str]:
    """The better one first. The name only keeps apart what has the same hash, which no two clusters have."""
    return -slot.score, slot.tie, slot.cluster


def divided(wanted: int, slots: Sequence[Slot], spreading: Spreading) -> Mapping[str, int]:
    """Replicas by cluster, without those that get none."""
    too_few = sum(map(_least, slots)) > wanted
    tiers: dict[int, list[Slot]] = {}
    for slot in sorted(slots, key=by_merit):
        # With too few for every minimum, minimums are what there is to share out.
        one = replace(slot, least=0, most=_least(slot)) if too_few else slot
        tiers.setdefault(slot.tier, []).append(one)
    ordered = [tiers[tier] for tier in sorted(tiers)]
    have = [[min(max(slot.current, _least(slot)), upper(slot)) for slot in tier] for tier in ordered]
    over = sum(map(sum, have)) - wanted
    if over > 0:
        have = _shrunk(over, ordered, have, spreading)
    elif over < 0:
        have = _grown(-over, ordered, have, spreading)
    found = {
        slot.cluster: share
        for tier, shares_of_tier in zip(ordered, have, strict=True)
        for slot, share in zip(tier, shares_of_tier, strict=True)
    }
    return {cluster: share for cluster, share in found.items() if share > 0}


def fewer(total: int, have: Sequence[int], least: Sequence[int]) -> list[int]:
    """Fewer for each in proportion to what it has, none below its least."""
    lines = [Line(min(low, now), now, now) for low, now in zip(least, have, strict=True)]
    return shares(total, lines)


def _least(slot: Slot) -> int:
    return min(max(0, slot.least), upper(slot))


def _grown(
    more: int, tiers: Sequence[Sequence[Slot]], have: list[list[int]], spreading: Spreading
) -> list[list[int]]:
    found = []
    for tier, now in zip(tiers, have, strict=True):
        room = sum(map(upper, tier)) - sum(now)
        added = spreading.add(sum(now) + min(more, room), tier, now) if more and room else now
        more -= sum(added) - sum(now)
        found.append(added)
    return found


def _shrunk(
    over: int, tiers: Sequence[Sequence[Slot]], have: list[list[int]], spreading: Spreading
) -> list[list[int]]:
    for at in reversed(range(len(tiers))):
        least = list(map(_least, tiers[at]))
        away = min(over, sum(have[at]) - sum(least))
        if away > 0:
            have[at] = spreading.take(sum(have[at]) - away, tiers[at], have[at], least)
            over -= away
    return have
