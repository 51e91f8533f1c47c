"""Scores by weight: what each cluster is worth to a placement, and out of which parts."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.plugins import Score
from mesh_placement.schedule.snapshot import Cluster, Wanted


class Weighed(Struct, frozen=True):
    """`totals` by cluster; `parts` by score, then by cluster."""

    totals: Mapping[str, float]
    parts: Mapping[str, Mapping[str, float]]

    def parts_by_cluster(self) -> Mapping[str, dict[str, float]]:
        """0 to 100 by the name of the score, of every cluster that was weighed."""
        names, clusters = tuple(self.parts), list(self.totals)
        columns = [_column(found, clusters) for found in self.parts.values()]
        rows = zip(*columns, strict=True) if columns else (() for _ in self.totals)
        return {one: dict(zip(names, row, strict=True)) for one, row in zip(self.totals, rows, strict=True)}


def weighed(look: Look, wanted: Wanted, clusters: Sequence[Cluster], scores: Sequence[Score]) -> Weighed:
    """A score of weight 0 is not asked, and one that says nothing is no part."""
    names = [one.name for one in clusters]
    totals = [0.0] * len(names)
    parts: dict[str, Mapping[str, float]] = {}
    prefer = wanted.spec.prefer
    for rule in scores:
        weight = prefer.get(rule.name, rule.default_weight)
        found = rule.score(look, wanted, clusters) if weight else {}
        if not found:
            continue
        parts[rule.name] = found
        points = _column(found, names)
        totals = [total + weight * each for total, each in zip(totals, points, strict=True)]
    return Weighed(dict(zip(names, totals, strict=True)), parts)


def _column(found: Mapping[str, float], names: list[str]) -> list[float]:
    """In the order of names, which most scores keep by themselves."""
    return list(found.values()) if list(found) == names else [found.get(one, 0.0) for one in names]
