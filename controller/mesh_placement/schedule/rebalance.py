"""Moving replicas that run without need: only where the user says so (`rebalance: OnDrift`), and slowly.

1. Nothing moves while what is there differs from the ideal by less than `threshold` of the wanted replicas.
2. At most `max_move_per_minute` move at a time, and then none for a minute.
3. What moves is left behind until it is ready where it goes to (`surging`).
4. The ideal is what the same divider would make of empty clusters, so it lies within the same bounds.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from mesh_placement.objects.placing import RebalanceRule
from mesh_placement.schedule.dividers.bounded import Line, shares
from mesh_placement.schedule.plugins import Divider, Slot

MINUTE = 60.0


class Rebalanced(Struct, frozen=True):
    """Replicas by cluster after it, how many `moves` that takes, and when to look `again`."""

    shares: Mapping[str, int]
    moves: int = 0
    again: float | None = None


def rebalanced(
    shares_now: Mapping[str, int],
    slots: Sequence[Slot],
    *,
    divider: Divider,
    rule: RebalanceRule,
    moved: float | None,
    now: float,
) -> Rebalanced:
    """One step towards the ideal; `moved` is when the last one was taken."""
    total = sum(shares_now.values())
    if rule.mode == "Never" or not total:
        return Rebalanced(shares_now)
    ideal = divider.divide(total, [_empty(slot) for slot in slots])
    # No slot is an evicted one: what is not ours to move is not counted.
    names = [slot.cluster for slot in sorted(slots, key=lambda slot: (slot.tie, slot.cluster))]
    over = {one: max(0, shares_now.get(one, 0) - ideal.get(one, 0)) for one in names}
    under = {one: max(0, ideal.get(one, 0) - shares_now.get(one, 0)) for one in names}
    drift = min(sum(over.values()), sum(under.values()))
    if not drift or drift < rule.threshold * total:
        return Rebalanced(shares_now)
    if moved is not None and now < moved + MINUTE:
        return Rebalanced(shares_now, again=moved + MINUTE)
    moves = min(drift, max(0, rule.max_move_per_minute))
    away, there = _part(moves, over), _part(moves, under)
    after = {one: shares_now.get(one, 0) - away[one] + there[one] for one in names}
    kept = {one: share for one, share in after.items() if share > 0}
    return Rebalanced(kept, moves, now + MINUTE if moves < drift else None)


def _part(moves: int, most: Mapping[str, int]) -> Mapping[str, int]:
    found = shares(moves, [Line(0, share, share) for share in most.values()])
    return dict(zip(most, found, strict=True))


def _empty(slot: Slot) -> Slot:
    # Among equals the odd replica stays where it is: scores follow replicas, and it would go to and fro.
    return replace(slot, current=0, room=slot.current + max(0, slot.room), score=float(slot.current))
