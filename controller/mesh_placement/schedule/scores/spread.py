"""Spread: what `ScheduleAnyway` asks for; rather where a property's value has little of the placement yet."""

from collections.abc import Mapping, Sequence

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.snapshot import Cluster, Wanted


class Spread:
    """100 for a value that has none of what there is or is chosen from, 0 for one that has all.

    What there is not yet is counted by clusters: a value with many of them is likelier to be chosen anyway.
    """

    name = "Spread"
    default_weight = 1

    def score(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, float]:
        """By name; all the same where no spread is asked for softly."""
        terms = [one for one in wanted.spec.require.spread if one.when_unsatisfiable == "ScheduleAnyway"]
        placed = look.placed.get(wanted.name, {})
        found = dict.fromkeys((one.name for one in clusters), 0.0) if terms else {}
        for term in terms:
            sums: dict[str, int] = {}
            for name, replicas in placed.items():
                cluster = look.clusters.get(name)
                if cluster is not None:
                    value = cluster.properties.get(term.property, "")
                    sums[value] = sums.get(value, 0) + (1 if replicas is None else replicas)
            if not sums:
                for one in clusters:
                    value = one.properties.get(term.property, "")
                    sums[value] = sums.get(value, 0) + 1
            total = max(1, sum(sums.values()))
            for one in clusters:
                share = sums.get(one.properties.get(term.property, ""), 0) / total
                found[one.name] += 100.0 * (1.0 - share) / len(terms)
        return found
