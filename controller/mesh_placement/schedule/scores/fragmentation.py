"""Fragmentation: rather where a replica fits tightly, so that large free nodes stay whole for large ones."""

from collections.abc import Mapping, Sequence

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.row_facts import facts_of
from mesh_placement.schedule.snapshot import Cluster, Wanted


class Fragmentation:
    """How much a replica takes of the most that is free on one node, by what it takes most of."""

    name = "Fragmentation"
    default_weight = 1

    def score(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, float]:
        """By name; the same 0 for all where nothing is asked for."""
        asked = [(name, amount) for name, amount in wanted.demand.request.items() if amount > 0]
        if not asked or all(one.room is None for one in clusters):
            return {}
        return facts_of(look, ("Fragmentation", *asked), clusters, lambda one: _tightness(one, asked))


def _tightness(cluster: Cluster, asked: Sequence[tuple[str, int]]) -> float:
    most = cluster.room.continuous if cluster.room is not None else {}
    tight = 0.0
    for name, amount in asked:
        free = most.get(name, 0)
        if free and amount / free > tight:
            tight = amount / free
    return 100.0 * min(1.0, tight)
