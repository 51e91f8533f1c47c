"""Filter Spread: a cluster of which the spread property is not known cannot be counted.

The skew itself is kept while clusters are chosen, because it depends on the whole choice.
"""

from collections.abc import Mapping, Sequence

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.row_facts import exceptions_of
from mesh_placement.schedule.snapshot import Cluster, Wanted


class Spread:
    """PropertyMissing."""

    name = "Spread"

    def reject(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, Rejection]:
        """Those without a property over which the placement must be spread."""
        found: dict[str, Rejection] = {}
        for term in wanted.spec.require.spread:
            if term.when_unsatisfiable == "DoNotSchedule":
                rejection = Rejection(
                    "PropertyMissing",
                    observed=f"{term.property} is not set",
                    required=f"{term.property} is set, because replicas are spread over its values",
                    hint=f"set ClusterProperty {term.property} in the member",
                )
                found.update(_without(look, term.property, clusters, rejection))
        return found


def _without(
    look: Look, name: str, clusters: Sequence[Cluster], rejection: Rejection
) -> Mapping[str, Rejection]:
    return exceptions_of(
        look, ("Spread", name), clusters, lambda one: None if name in one.properties else rejection
    )
