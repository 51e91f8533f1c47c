"""Pack and Nearest: one cluster is filled after the other; what is taken is taken from the last."""

from collections.abc import Callable, Mapping, Sequence
from math import inf

from mesh_placement.schedule.dividers.steady import divided, upper
from mesh_placement.schedule.plugins import Slot

_Rank = Callable[[Slot], float]


class _OneAfterTheOther:
    def __init__(self, rank: _Rank) -> None:
        self._rank = rank

    def add(self, total: int, slots: Sequence[Slot], have: Sequence[int]) -> list[int]:
        found = list(have)
        rest = total - sum(have)
        for at in self._order(slots):
            more = min(rest, max(0, upper(slots[at]) - found[at]))
            found[at] += more
            rest -= more
        return found

    def take(self, total: int, slots: Sequence[Slot], have: Sequence[int], least: Sequence[int]) -> list[int]:
        found = list(have)
        over = sum(have) - total
        for at in reversed(self._order(slots)):
            away = min(over, max(0, found[at] - least[at]))
            found[at] -= away
            over -= away
        return found

    def _order(self, slots: Sequence[Slot]) -> list[int]:
        # Slots come by merit, and sorting keeps that among equals.
        return sorted(range(len(slots)), key=lambda at: self._rank(slots[at]))


class Pack:
    """As few clusters as possible: those that have some already, then those that take most.

    Two that both take all of it are equally good, however much room they have; then the score counts.
    """

    name = "Pack"

    def divide(self, wanted: int, slots: Sequence[Slot]) -> Mapping[str, int]:
        """See `steady`."""

        def rank(slot: Slot) -> float:
            return -wanted - slot.current if slot.current else -min(wanted, upper(slot))

        return divided(wanted, slots, _OneAfterTheOther(rank))


class Nearest:
    """Lowest latency first; those whose latency nobody knows come last."""

    name = "Nearest"

    def divide(self, wanted: int, slots: Sequence[Slot]) -> Mapping[str, int]:
        """See `steady`."""
        return divided(wanted, slots, _OneAfterTheOther(_latency))


def _latency(slot: Slot) -> float:
    return inf if slot.latency is None else slot.latency
