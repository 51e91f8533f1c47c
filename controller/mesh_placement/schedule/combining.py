"""Facts of clusters made of other facts of them: worked out again only where one of these is another.

Kept by the parts' own identity, which `row_facts` and the tables of `network.reach` keep while nothing in
them changes. So an answer is given again only where it would be worked out again from equal parts.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final, TypeVar, cast

from mesh_placement.schedule.keeping import Kept
from mesh_placement.schedule.row_changes import differing
from mesh_placement.schedule.snapshot import Cluster

Fact = TypeVar("Fact")

MOST_KEPT: Final = 1024
"""Rules."""

_Parts = Sequence[Mapping[str, object]]
_KEPT = Kept[Hashable, tuple[_Parts, dict[str, object]]](MOST_KEPT)


def combined(
    rule: Hashable, parts: _Parts, clusters: Sequence[Cluster], work: Callable[[str], Fact]
) -> Mapping[str, Fact]:
    """At least of these clusters, by name. `work` asks nothing but the parts, in which all of them are named;
    `rule` says with what it depends on besides."""
    kept = _KEPT.get(rule)
    found: dict[str, object] = {}
    if kept is not None and len(kept[0]) == len(parts):
        found = kept[1]
        news = {one for old, new in zip(kept[0], parts, strict=True) for one in differing(old, new)}
        if news:
            found = found.copy()
        for name in news:
            if not all(name in part for part in parts):
                found.pop(name, None)
            elif name in found:
                found[name] = work(name)
    # Never more than the parts name: as many are all of them.
    if len(found) < min(map(len, parts)) and not all([one.name in found for one in clusters]):
        found = {**found, **{one.name: work(one.name) for one in clusters if one.name not in found}}
    _KEPT.put(rule, (parts, found))
    return cast(Mapping[str, Fact], found)
