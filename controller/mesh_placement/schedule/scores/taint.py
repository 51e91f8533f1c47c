"""Taint: rather where nobody says that workloads are better kept away."""

from collections.abc import Mapping, Sequence

from msgspec.structs import astuple

from mesh_placement.objects.placing import Toleration
from mesh_placement.schedule.filters.taints import tolerates
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.row_facts import facts_of
from mesh_placement.schedule.snapshot import Cluster, HeldTaint, Wanted


class Taint:
    """100 without a PreferNoSchedule taint that is not tolerated, a half with one, a third with two."""

    name = "Taint"
    default_weight = 1

    def score(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, float]:
        """By name."""
        tolerations = wanted.spec.require.tolerations
        rule = "Taint", *(astuple(one) for one in tolerations)
        return facts_of(look, rule, clusters, lambda one: 100.0 / (1 + _against(one.taints, tolerations)))


def _against(taints: Sequence[HeldTaint], tolerations: Sequence[Toleration]) -> int:
    return sum(
        one.effect == "PreferNoSchedule" and not any(tolerates(each, taint=one) for each in tolerations)
        for one in taints
    )
