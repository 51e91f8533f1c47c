"""Spread: what `ScheduleAnyway` asks for; rather where a property's value has little of the placement yet."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.row_facts import facts_of
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
        parts = []
        for term in terms:
            sums: Mapping[str, int] = _placed(look, placed, term.property)
            if not sums:
                values = facts_of(look, ("property", term.property), clusters, _of(term.property))
                sums = Counter([values[one.name] for one in clusters])
            total = max(1, sum(sums.values()))
            points = {value: 100.0 * (1.0 - number / total) / len(terms) for value, number in sums.items()}
            rule = "Spread", term.property, len(terms), *sorted(points.items())
            parts.append(facts_of(look, rule, clusters, _points(term.property, points, 100.0 / len(terms))))
        if len(parts) < 2:
            return parts[0] if parts else {}
        return {one.name: sum(part[one.name] for part in parts) for one in clusters}


def _placed(look: Look, placed: Mapping[str, int | None], name: str) -> dict[str, int]:
    """How many there are already of each value."""
    sums: dict[str, int] = {}
    for cluster in (look.clusters[one] for one in placed if one in look.clusters):
        value, replicas = cluster.properties.get(name, ""), placed[cluster.name]
        sums[value] = sums.get(value, 0) + (1 if replicas is None else replicas)
    return sums


def _of(name: str) -> Callable[[Cluster], str]:
    return lambda one: one.properties.get(name, "")


def _points(name: str, points: Mapping[str, float], most: float) -> Callable[[Cluster], float]:
    """`most` for a value of which there is none."""
    return lambda one: points.get(one.properties.get(name, ""), most)
