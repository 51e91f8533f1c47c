"""How many replicas each chosen cluster gets.

1. Duplicate gives each all of them, as far as it has room; Divide asks a divider.
2. A hard spread is kept by all that is new: values are levelled first, then each value's clusters share.
   Of several spreads see `several_spreads`.
3. Who is given nothing is not in the result.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from mesh_placement.schedule.dividers import Even
from mesh_placement.schedule.dividers.steady import by_merit, upper
from mesh_placement.schedule.plugins import Divider, Slot
from mesh_placement.schedule.several_spreads import Cell, within_all
from mesh_placement.schedule.snapshot import Wanted
from mesh_placement.schedule.spread import Spread, most_by_value
from mesh_placement.schedule.tries import Tries

_Key = TypeVar("_Key", bound=Hashable)
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
    total: int,
    slots: Sequence[Slot],
    *,
    divider: Divider,
    spreads: Sequence[Spread],
    tries: Tries | None = None,
) -> dict[str, int]:
    """Divided among them, within the skew of all spreads."""
    if not spreads:
        return dict(divider.divide(total, slots))
    if len(spreads) > 1:
        return _within_all(total, slots, divider=divider, spreads=spreads, tries=tries)
    groups = _grouped(slots, lambda slot: spreads[0].values[slot.cluster])
    levels = Even().divide(total, _as_slots(groups, spreads[0].skew))
    found: dict[str, int] = {}
    for value, members in groups.items():
        found.update(divider.divide(levels.get(value, 0), members))
    return found


def _grouped(slots: Sequence[Slot], key: Callable[[Slot], _Key]) -> dict[_Key, list[Slot]]:
    groups: dict[_Key, list[Slot]] = {}
    for slot in slots:
        groups.setdefault(key(slot), []).append(slot)
    return groups


def _within_all(
    total: int,
    slots: Sequence[Slot],
    *,
    divider: Divider,
    spreads: Sequence[Spread],
    tries: Tries | None,
) -> dict[str, int]:
    """Levelled by the first spread, then what goes too far for the others is moved, and at last given up."""
    first = shared(total, slots, divider=divider, spreads=spreads[:1])
    cells = _grouped(slots, lambda slot: tuple(spread.values[slot.cluster] for spread in spreads))
    had = [sum(min(slot.current, upper(slot)) for slot in members) for members in cells.values()]
    is_growing = sum(had) <= total
    asked = within_all(
        [spread.skew for spread in spreads],
        [
            Cell(values, was if is_growing else 0, sum(map(upper, members)), was)
            for (values, members), was in zip(cells.items(), had, strict=True)
        ],
        [sum(first.get(slot.cluster, 0) for slot in members) for members in cells.values()],
        tries=tries,
    )
    found: dict[str, int] = {}
    for count, members in zip(asked, cells.values(), strict=True):
        found.update(divider.divide(count, members))
    return found


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
