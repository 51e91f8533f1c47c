"""Scores by weight: what each cluster is worth to a placement, and out of which parts.

What was found for the placement last is kept, and worked out again only for clusters of which a score says
something else: a score gives the same numbers of all others, so they have the same sum.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from mesh_placement.schedule.keeping import Kept
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.plugins import Score
from mesh_placement.schedule.row_changes import differing
from mesh_placement.schedule.snapshot import Cluster, Wanted

MOST_KEPT: Final = 4096
"""Placements."""


class Weighed(Struct, frozen=True):
    """`totals` by cluster; `parts` by score, then by cluster; `parts_of` the other way round: 0 to 100 by the
    name of the score, of every cluster that was weighed."""

    totals: Mapping[str, float]
    parts: Mapping[str, Mapping[str, float]]
    parts_of: Mapping[str, dict[str, float]]


class _Last(Struct, frozen=True):
    names: list[str]
    weights: Mapping[str, int]
    weighed: Weighed


_KEPT = Kept[str, _Last](MOST_KEPT)


def weighed(look: Look, wanted: Wanted, clusters: Sequence[Cluster], scores: Sequence[Score]) -> Weighed:
    """A score of weight 0 is not asked, and one that says nothing is no part."""
    names = [one.name for one in clusters]
    weights: dict[str, int] = {}
    parts: dict[str, Mapping[str, float]] = {}
    prefer = wanted.spec.prefer
    for rule in scores:
        weight = prefer.get(rule.name, rule.default_weight)
        found = rule.score(look, wanted, clusters) if weight else {}
        if found:
            parts[rule.name], weights[rule.name] = found, weight
    kept = _KEPT.get(wanted.name)
    if kept is not None and kept.names == names and list(kept.weights.items()) == list(weights.items()):
        made = _renewed(kept.weighed, parts, weights)
    else:
        made = _anew(names, parts, weights)
    _KEPT.put(wanted.name, _Last(names, weights, made))
    return made


def _anew(names: list[str], parts: Mapping[str, Mapping[str, float]], weights: Mapping[str, int]) -> Weighed:
    columns = [_column(found, names) for found in parts.values()]
    # Copies of one that has all names already: made three times as fast as one name after another.
    empty = dict.fromkeys(parts, 0.0)
    rows = [empty.copy() for _ in names]
    for rule, points in zip(parts, columns, strict=True):
        _put(rows, rule, points)
    return Weighed(_totals(names, columns, weights), parts, dict(zip(names, rows, strict=True)))


def _renewed(
    before: Weighed, parts: Mapping[str, Mapping[str, float]], weights: Mapping[str, int]
) -> Weighed:
    """By columns where a score says something else of many clusters, by clusters for the rest."""
    many, news = [], set[str]()
    for rule, found in parts.items():
        others = differing(before.parts[rule], found)
        if 4 * len(others) > len(before.totals):
            many.append(rule)
        else:
            news.update(others)
    news.intersection_update(before.totals)
    if not news and not many:
        return before
    if many:
        names = list(before.totals)
        columns = {rule: _column(found, names) for rule, found in parts.items()}
        totals = _totals(names, list(columns.values()), weights)
        rows = [row.copy() for row in before.parts_of.values()]
        for rule in many:
            _put(rows, rule, columns[rule])
        parts_of = dict(zip(names, rows, strict=True))
    else:
        totals, parts_of = dict(before.totals), dict(before.parts_of)
    for name in news:
        row = {rule: found.get(name, 0.0) for rule, found in parts.items()}
        total = 0.0
        for rule, points in row.items():
            total += weights[rule] * points
        totals[name], parts_of[name] = total, row
    return Weighed(totals, parts, parts_of)


def _totals(
    names: Sequence[str], columns: Sequence[Sequence[float]], weights: Mapping[str, int]
) -> dict[str, float]:
    totals = [0.0] * len(names)
    for weight, points in zip(weights.values(), columns, strict=True):
        totals = [total + weight * each for total, each in zip(totals, points, strict=True)]
    return dict(zip(names, totals, strict=True))


def _put(rows: Iterable[dict[str, float]], rule: str, points: Iterable[float]) -> None:
    for row, each in zip(rows, points, strict=True):
        row[rule] = each


def _column(found: Mapping[str, float], names: list[str]) -> list[float]:
    """In the order of names, which most scores keep by themselves."""
    return list(found.values()) if list(found) == names else [found.get(one, 0.0) for one in names]
