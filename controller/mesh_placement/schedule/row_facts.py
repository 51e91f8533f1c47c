"""Facts of single clusters that hold as long as the cluster's row is the same object: worked out once for it.

1. Rows are never changed, so who asks the same of the same row gets what would be worked out again.
2. A fact may depend on nothing but the row and what the rule's own name says.
3. What was handed out is never written to again: cycles and what-if run in threads.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final, TypeVar, cast

from mesh_placement.schedule.snapshot import Cluster

Fact = TypeVar("Fact")

MOST_RULES: Final = 256
"""Of which the last facts are kept; the one that was asked for longest ago goes first."""

_KEPT: dict[Hashable, tuple[dict[str, Cluster], dict[str, object]]] = {}


def facts_of(
    rule: Hashable, clusters: Sequence[Cluster], work: Callable[[Cluster], Fact]
) -> Mapping[str, Fact]:
    """At least of these clusters, by name. `rule` names the question with all that it depends on."""
    rows, found = _KEPT.pop(rule, ({}, {}))
    news = [one for one in clusters if rows.get(one.name) is not one]
    if news:
        if len(rows) > 2 * len(clusters):
            rows, found, news = {}, {}, list(clusters)
        rows = {**rows, **{one.name: one for one in news}}
        found = {**found, **{one.name: work(one) for one in news}}
    _KEPT[rule] = rows, found
    while len(_KEPT) > MOST_RULES:
        _KEPT.pop(next(iter(_KEPT), None), None)
    return cast(dict[str, Fact], found)  # the same rule is always asked with the same kind of work
