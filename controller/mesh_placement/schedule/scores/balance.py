"""Balance: rather where the resource that is scarcest leaves most."""

from collections.abc import Mapping, Sequence

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.row_facts import facts_beside
from mesh_placement.schedule.snapshot import Cluster, Reservation, Room, Wanted

_WHERE_NOTHING_IS_ASKED = ("cpu", "memory")
_NOTHING: Mapping[str, int] = {}


class Balance:
    """100 less the dominant share: the greatest part that is taken of any resource the placement asks for.

    One replica of it, and what others have reserved, count as taken.
    """

    name = "Balance"
    default_weight = 1

    def score(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, float]:
        """By name; a cluster that tells nothing of its room gets 0."""
        if all(one.room is None for one in clusters):
            return {}
        request = wanted.demand.request
        names = tuple(name for name, amount in request.items() if amount) or _WHERE_NOTHING_IS_ASKED
        rule = "Balance", names, tuple(request.items())
        return facts_beside(look, rule, clusters, lambda one, held: _left(one.room, names, request, held))


def _left(
    room: Room | None, names: Sequence[str], request: Mapping[str, int], held: Sequence[Reservation]
) -> float:
    if room is None:
        return 0.0
    gone: Mapping[str, int] = _summed(held) if held else _NOTHING
    least = 1.0
    for name in names:
        total = room.total.get(name, 0)
        if total:
            share = (room.available.get(name, 0) - request.get(name, 0) - gone.get(name, 0)) / total
            if share < least:
                least = share
    return 100.0 * least if least > 0 else 0.0


def _summed(held: Sequence[Reservation]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for one in held:
        for name, amount in one.request.items():
            sums[name] = sums.get(name, 0) + amount * one.replicas
    return sums
