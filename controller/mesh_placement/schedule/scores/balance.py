"""Balance: rather where the resource that is scarcest leaves most."""

from collections.abc import Mapping, Sequence

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.row_facts import facts_of
from mesh_placement.schedule.snapshot import Cluster, Room, Wanted

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
        request = wanted.demand.request
        names = tuple(name for name, amount in request.items() if amount) or _WHERE_NOTHING_IS_ASKED
        rule = "Balance", names, tuple(request.items())
        idle = facts_of(rule, clusters, lambda one: _left(one.room, names, request, _NOTHING))
        taken = _reserved(look)
        found: dict[str, float] = {}
        for cluster in clusters:
            name = cluster.name
            left = _left(cluster.room, names, request, taken[name]) if name in taken else idle[name]
            if left is not None:
                found[name] = left
        return found


def _left(
    room: Room | None, names: Sequence[str], request: Mapping[str, int], gone: Mapping[str, int]
) -> float | None:
    if room is None:
        return None
    least = 1.0
    for name in names:
        total = room.total.get(name, 0)
        if total:
            share = (room.available.get(name, 0) - request.get(name, 0) - gone.get(name, 0)) / total
            if share < least:
                least = share
    return 100.0 * least if least > 0 else 0.0


def _reserved(look: Look) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for one in look.reservations:
        cluster = look.clusters.get(one.cluster)
        is_seen = (
            cluster is not None
            and cluster.room is not None
            and cluster.room.observed.get(one.placement, 0) >= one.revision
        )
        if is_seen or one.until <= look.now:
            continue
        sums = found.setdefault(one.cluster, {})
        for name, amount in one.request.items():
            sums[name] = sums.get(name, 0) + amount * one.replicas
    return found
