"""Taint: rather where nobody says that workloads are better kept away."""

from collections.abc import Mapping, Sequence

from mesh_placement.schedule.filters.taints import tolerates
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.snapshot import Cluster, Wanted


class Taint:
    """100 without a PreferNoSchedule taint that is not tolerated, a half with one, a third with two."""

    name = "Taint"
    default_weight = 1

    def score(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, float]:
        """By name."""
        tolerations = wanted.spec.require.tolerations
        found: dict[str, float] = {}
        for cluster in clusters:
            against = 0
            for taint in cluster.taints:
                if taint.effect == "PreferNoSchedule":
                    against += not any(tolerates(one, taint=taint) for one in tolerations)
            found[cluster.name] = 100.0 / (1 + against)
        return found
