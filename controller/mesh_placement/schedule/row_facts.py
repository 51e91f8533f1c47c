"""Facts of single clusters that hold as long as the cluster's row is the same object: worked out once for it.

1. Rows are never changed, so who asks the same of the same row gets what would be worked out again.
2. A fact may depend on nothing but the row, what the rule's own name says, and for `facts_beside` what is
   reserved in the cluster.
3. What was handed out is never written to again: cycles and what-if run in threads. The very same mapping is
   given again while nothing in it changes, so whoever works on with it may keep that by its identity.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final, TypeVar, cast

from msgspec import Struct

from mesh_placement.schedule.keeping import Kept
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.snapshot import Cluster, Reservation

Fact = TypeVar("Fact")

MOST_FACTS: Final = 2_000_000
"""That are kept, of clusters and rules together."""

_Held = tuple[Reservation, ...]


class _Last(Struct, frozen=True):
    """What was found, out of which rows. `beside` are clusters with reservations: row, these, fact."""

    rows: Sequence[Cluster]
    found: dict[str, object]
    beside: Mapping[str, tuple[Cluster, _Held, object]]
    both: Mapping[str, object]


_KEPT = Kept[Hashable, _Last](MOST_FACTS)
_NONE: Final[Mapping[str, tuple[Cluster, _Held, object]]] = {}


def facts_of(
    look: Look, rule: Hashable, clusters: Sequence[Cluster], work: Callable[[Cluster], Fact]
) -> Mapping[str, Fact]:
    """At least of these clusters of the look, by name. `rule` names the question with all it depends on."""
    kept = _KEPT.get(rule)
    before = {} if kept is None else kept.found
    found = _following(look, kept, work, is_known=before.__contains__)
    # As many as there are clusters are all of them: names that are gone were taken out.
    if len(found) < len(look.snapshot.clusters) and not all([one.name in found for one in clusters]):
        found = {**found, **{one.name: work(one) for one in clusters if one.name not in found}}
    if kept is None or found is not before or kept.rows is not look.snapshot.clusters:
        kept = _Last(look.snapshot.clusters, found, _NONE, _NONE)
    _keep(look, rule, kept)
    return cast(Mapping[str, Fact], found)  # the same rule is always asked with the same kind of work


def exceptions_of(
    look: Look, rule: Hashable, clusters: Sequence[Cluster], work: Callable[[Cluster], Fact | None]
) -> Mapping[str, Fact]:
    """Those of these clusters of which `work` says anything, by name, in no order.

    For what is true of few of them: then asking costs the more the more there are, not the more clusters.
    """
    kept = _KEPT.get(rule)
    if kept is None:
        found = _said({one.name: work(one) for one in look.snapshot.clusters})
    else:
        found = _following(look, kept, work, is_known=lambda _: True)
        found = found if found is kept.found else _said(found)
    if kept is None or kept.rows is not look.snapshot.clusters:
        kept = _Last(look.snapshot.clusters, found, _NONE, _NONE)
    _keep(look, rule, kept)
    if found and clusters is not look.snapshot.clusters:
        found = {one.name: found[one.name] for one in clusters if one.name in found}
    return cast(Mapping[str, Fact], found)


def facts_beside(
    look: Look, rule: Hashable, clusters: Sequence[Cluster], work: Callable[[Cluster, _Held], Fact]
) -> Mapping[str, Fact]:
    """As `facts_of`, of the rows together with what is reserved in the clusters now."""
    before = _KEPT.get(rule)
    idle = facts_of(look, rule, clusters, lambda one: work(one, ()))
    if not look.held:
        return idle
    old = _NONE if before is None else before.beside
    beside: dict[str, tuple[Cluster, _Held, object]] = {}
    is_new = before is None or before.found is not idle or len(old) != len(look.held)
    for name, held in look.held.items():
        cluster, kept = look.clusters[name], old.get(name)
        if kept is None or kept[0] is not cluster or (kept[1] is not held and kept[1] != held):
            kept, is_new = (cluster, held, work(cluster, held)), True
        beside[name] = kept
    if before is not None and not is_new:
        both = before.both
    else:
        both = {**idle, **{name: kept[2] for name, kept in beside.items()}}
    _keep(look, rule, _Last(look.snapshot.clusters, cast(dict[str, object], idle), beside, both))
    return cast(Mapping[str, Fact], both)


def _following(
    look: Look, kept: _Last | None, work: Callable[[Cluster], object], *, is_known: Callable[[str], bool]
) -> dict[str, object]:
    """What was found before, brought up to the look's rows; the very same where nothing of it changed."""
    if kept is None or kept.rows is look.snapshot.clusters:
        return {} if kept is None else kept.found
    change = look.changed_since(kept.rows)
    if len(change.news) == len(look.snapshot.clusters) == len(kept.found) and not change.gone:
        return {one.name: work(one) for one in change.news}
    news = [one for one in change.news if is_known(one.name)]
    gone = [name for name in change.gone if name in kept.found]
    if not news and not gone:
        return kept.found
    found = kept.found.copy()
    for one in news:
        found[one.name] = work(one)
    for name in gone:
        del found[name]
    return found


def _said(found: Mapping[str, object]) -> dict[str, object]:
    return {name: fact for name, fact in found.items() if fact is not None}


def _keep(look: Look, rule: Hashable, kept: _Last) -> None:
    _KEPT.put(rule, kept, most=max(64, MOST_FACTS // max(1, len(look.snapshot.clusters))))
