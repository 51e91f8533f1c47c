"""How many replicas each chosen cluster gets.

1. Duplicate gives each all of them, as far as it has room; Divide asks a divider.
2. A hard spread is kept by all that is new: values are levelled first, then each value's clusters share.
   Of several spreads the first is levelled, and the others take away what goes beyond them.
3. Who is given nothing is not in the result.
"""

from collections.abc import Mapping, Sequence

from mesh_placement.schedule.dividers import Even
from mesh_placement.schedule.dividers.steady import by_merit, upper
from mesh_placement.schedule.plugins import Divider, Slot
from mesh_placement.schedule.snapshot import Wanted
from mesh_placement.schedule.spread import Spread, most_by_value

Shares = Mapping[str, int | None]


def wanted_replicas(wanted: Wanted) -> int | None:
    """What the placement wants in all (Divide) or in each cluster (Duplicate); None: nothing is counted."""
    rule = wanted.spec.replicas
    if wanted.demand.replicas is None:
        return None
    count = max(rule.min, wanted.demand.replicas if rule.count is None else rule.count)
    return count if rule.max is None else min(rule.max, count)


def is_divided(wanted: Wanted) -> bool:
    """Whether replicas are divided, and not the same everywhere."""
    return wanted.spec.replicas.policy == "Divide" and wanted.demand.replicas is not None


def duplicated(replicas: int | None, slots: Sequence[Slot]) -> dict[str, int | None]:
    """All in each, as far as there is room."""
    if replicas is None:
        return {slot.cluster: None for slot in slots}
    found = {slot.cluster: min(replicas, upper(slot)) for slot in slots}
    return {cluster: share for cluster, share in found.items() if share > 0}


def shared(
    total: int, slots: Sequence[Slot], *, divider: Divider, spreads: Sequence[Spread]
) -> dict[str, int]:
    """Divided among them, within the skew of all spreads."""
    if not spreads:
        return dict(divider.divide(total, slots))
    first = spreads[0]
    groups: dict[str, list[Slot]] = {}
    for slot in slots:
        groups.setdefault(first.values[slot.cluster], []).append(slot)
    levels = Even().divide(total, _as_slots(groups, first.skew))
    found: dict[str, int] = {}
    for value, members in groups.items():
        found.update(divider.divide(levels.get(value, 0), members))
    return found if len(spreads) == 1 else _trimmed(found, slots, spreads)


def _as_slots(groups: Mapping[str, Sequence[Slot]], skew: int) -> list[Slot]:
    """Each value as one slot that takes what its clusters take together, within the skew."""
    most = most_by_value({value: sum(map(upper, slots)) for value, slots in groups.items()}, skew)
    found = []
    for value, slots in groups.items():
        best = min(slots, key=by_merit)
        current = sum(min(slot.current, upper(slot)) for slot in slots)
        found.append(
            Slot(
                value,
                current=current,
                room=sum(map(upper, slots)) - current,
                least=sum(min(slot.least, upper(slot)) for slot in slots),
                most=max(most[value], current),
                score=best.score,
                tie=best.tie,
            )
        )
    return found


def _trimmed(found: dict[str, int], slots: Sequence[Slot], spreads: Sequence[Spread]) -> dict[str, int]:
    """Less of what is new, one at a time from the least good, until no spread is exceeded by it."""
    current = {slot.cluster: slot.current for slot in slots}
    worst_first = sorted(slots, key=by_merit, reverse=True)
    while True:
        over = next((one for one in worst_first if _is_over(one.cluster, found, current, spreads)), None)
        if over is None:
            return {cluster: share for cluster, share in found.items() if share > 0}
        found[over.cluster] -= 1


def _is_over(
    cluster: str, found: Mapping[str, int], current: Mapping[str, int], spreads: Sequence[Spread]
) -> bool:
    if found.get(cluster, 0) <= current[cluster]:
        return False
    for spread in spreads:
        sums = dict.fromkeys((spread.values[one] for one in current), 0)
        for one, share in found.items():
            sums[spread.values[one]] += share
        if sums[spread.values[cluster]] > min(sums.values()) + spread.skew:
            return True
    return False
