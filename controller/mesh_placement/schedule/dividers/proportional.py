"""Even, Weighted and Available: replicas in proportion to one, to a weight, to what a cluster can take."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from mesh_placement.schedule.dividers.bounded import Line, shares
from mesh_placement.schedule.dividers.steady import divided, fewer, upper
from mesh_placement.schedule.plugins import Slot


class _Weighing(Protocol):
    def __call__(self, slot: Slot, /) -> int: ...


class _InProportion:
    def __init__(self, weigh: _Weighing) -> None:
        self._weigh = weigh

    def add(self, total: int, slots: Sequence[Slot], have: Sequence[int]) -> list[int]:
        lines = [
            Line(now, max(now, upper(slot)), self._weigh(slot)) for slot, now in zip(slots, have, strict=True)
        ]
        return shares(total, lines)

    def take(self, total: int, slots: Sequence[Slot], have: Sequence[int], least: Sequence[int]) -> list[int]:
        return fewer(total, have, least)


class Even:
    """The same for each; the better ones get what is left over."""

    name = "Even"

    def divide(self, wanted: int, slots: Sequence[Slot]) -> Mapping[str, int]:
        """See `steady`; from nothing and without bounds no two differ by more than one."""
        return divided(wanted, slots, _InProportion(lambda slot: 1))


class Weighted:
    """By the weights that a user set; a weight of 0 gets its least and nothing more."""

    name = "Weighted"

    def divide(self, wanted: int, slots: Sequence[Slot]) -> Mapping[str, int]:
        """See `steady`."""
        return divided(wanted, slots, _InProportion(lambda slot: max(0, slot.weight)))


class Available:
    """By what each can take, so that none is filled before the others."""

    name = "Available"

    def divide(self, wanted: int, slots: Sequence[Slot]) -> Mapping[str, int]:
        """See `steady`."""
        return divided(wanted, slots, _InProportion(upper))
