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
Part = TypeVar("Part")

MOST_KEPT: Final = 1024
"""Rules."""

_Parts = Sequence[Mapping[str, object]]
_KEPT = Kept[Hashable, tuple[_Parts, dict[str, object]]](MOST_KEPT)


def combined(
    rule: Hashable,
    parts: Sequence[Mapping[str, Part]],
    clusters: Sequence[Cluster],
    work: Callable[[Sequence[Part]], Fact],
) -> Mapping[str, Fact]:
    """At least of these clusters, by name; each part names all of them. `work` is given what the parts
    say of one cluster, in their order, and asks nothing else; `rule` says with what it depends on besides."""
    kept = _KEPT.get(rule)
    found: dict[str, object] = {}
    if kept is not None and len(kept[0]) == len(parts):
        found = kept[1]
        news = {one for old, new in zip(kept[0], parts, strict=True) for one in differing(old, new)}
        if len(news) >= len(found):
            found = {}  # all of them are asked for below
        elif news:
            known = [one for one in news if one in found]
            gone = [one for one in known if not all(one in part for part in parts)]
            # The order of names stays, so few changes are seen soon.
            found = {**found, **_worked([one for one in known if one not in gone], parts, work)}
            for one in gone:
                del found[one]
    # Never more than the parts name: as many are all of them.
    if len(found) < min(map(len, parts)):
        missing = [one.name for one in clusters if one.name not in found]
        found = {**found, **_worked(missing, parts, work)} if missing else found
    _KEPT.put(rule, (parts, found))
    return cast(Mapping[str, Fact], found)  # the same rule is always asked with the same kind of work


def _worked(
    names: Sequence[str], parts: Sequence[Mapping[str, Part]], work: Callable[[Sequence[Part]], object]
) -> dict[str, object]:
    """By columns: one step for each part, and one for each name."""
    columns = [[part[name] for name in names] for part in parts]
    return dict(zip(names, map(work, zip(*columns, strict=True)), strict=True))
