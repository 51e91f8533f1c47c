"""Steady: rather where it is already."""

from collections.abc import Mapping, Sequence

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.snapshot import Cluster, Wanted


class Steady:
    """100 where the placement is."""

    name = "Steady"
    default_weight = 2

    def score(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, float]:
        """By name; who is not named gets 0."""
        return {share.cluster: 100.0 for share in wanted.current}
