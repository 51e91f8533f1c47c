"""Spread over the values of a property: who may be chosen together, and how many replicas a value takes.

1. Of clusters (Duplicate), no value has more than `max_skew` beyond the value that has least; values are
   those of all clusters that could be chosen.
2. Of replicas (Divide), the same over the values that were chosen.
3. What is there already is not taken away for it: only what is new keeps the rule.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from mesh_placement.objects.placing import SpreadTerm
from mesh_placement.schedule.snapshot import Cluster


class Spread(Struct, frozen=True):
    """One rule, and which value each candidate has."""

    skew: int
    values: Mapping[str, str]


def hard_terms(terms: Sequence[SpreadTerm]) -> tuple[SpreadTerm, ...]:
    """Those that forbid."""
    return tuple(one for one in terms if one.when_unsatisfiable == "DoNotSchedule")


def spreads_of(terms: Sequence[SpreadTerm], clusters: Sequence[Cluster]) -> tuple[Spread, ...]:
    """The rules that forbid, over these clusters; all of them have the property."""
    return tuple(
        Spread(max(1, one.max_skew), {it.name: it.properties.get(one.property, "") for it in clusters})
        for one in hard_terms(terms)
    )


def counts(names: Sequence[str], spread: Spread) -> dict[str, int]:
    """How many of them each value has, and 0 for values that nobody chose."""
    found = dict.fromkeys(spread.values.values(), 0)
    for name in names:
        found[spread.values[name]] += 1
    return found


def skew_of(found: Mapping[str, int]) -> int:
    """How far the value with most is beyond the one with least."""
    return max(found.values(), default=0) - min(found.values(), default=0)


def most_by_value(caps: Mapping[str, int], skew: int) -> dict[str, int]:
    """How many each value takes at most when all keep the rule."""
    least = min(caps.values(), default=0)
    return {value: min(cap, least + skew) for value, cap in caps.items()}
