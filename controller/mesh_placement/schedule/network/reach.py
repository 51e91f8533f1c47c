"""Which exporters of a service a cluster reaches, and how long a call takes from there (5.3 of the plan).

1. reach(c, S) are the exporters of S with ready endpoints that allow c, in c's own ClusterSet, which are c
   itself or where c's row says that the way is open. Requests start at c, so c's row counts, not the other's.
   Degraded is open: some of c's gateways reach it, and traffic goes there until none does (docs/conflicts.md,
   "When a peer cannot be reached").
2. lat(c, S) is what our data path does. With `local-first` and a ready endpoint in c it is 0. Otherwise it is
   the mean round trip over reach(c, S), weighted by ready endpoints, c's own counting 0: the egress gateway
   gives each cluster exactly its share of ready endpoints (`mesh_gateway.balance`, ruling 22), and kube-proxy
   gives the mesh its share beside local pods, within a fifth (decision 0012). **It is never the minimum**:
   nothing of ours sends a call to the nearest. `MESHCTL_DNS_ORDER=nearest` (decision 0027) orders the records
   of headless services, from which clients choose by themselves.
3. What is not fresh is unsure: neither reached nor lost. So is a way of which there is no row.
4. A round trip that nobody measured makes the mean unknown; then `floor` is what it is at least.
5. The last table of a service hands on what it found for clusters whose rows, and whose set's exporters, are
   the same: that depends on nothing else, so the answer is the one that would be worked out again. What was
   handed out is never written to again.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import TypeVar, cast

from msgspec import Struct

from mesh_placement.objects.placing import Percentile
from mesh_placement.schedule.keeping import Kept
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.codes import Code
from mesh_placement.schedule.network.exporters import Exporter, exporters_of
from mesh_placement.schedule.row_changes import Change, differing
from mesh_placement.schedule.snapshot import Cluster, Link, SetView

_Fact = TypeVar("_Fact")
_NOWHERE: Mapping[str, Link] = {}
MOST_KEPT = 256
"""Services of which the last table is kept."""
PERIODS = 3
"""A row that is older than so many probe periods is not fresh."""


class Way(Struct, frozen=True, gc=False):
    """To an exporter; `link` None: the cluster itself, or no row of the way there."""

    cluster: str
    ready: int
    link: Link | None


class Obstacle(Struct, frozen=True, gc=False):
    """Why an exporter is not reached."""

    code: Code
    cluster: str


class Reach(Struct, frozen=True, gc=False):
    """What one cluster has of one service. `stays`: its calls do not leave it."""

    sure: tuple[Way, ...] = ()
    unsure: tuple[Way, ...] = ()
    blocked: tuple[Obstacle, ...] = ()
    stays: bool = False


class Latency(Struct, frozen=True, gc=False):
    """Milliseconds; `mean` None: not known, and at least `floor`."""

    mean: float | None
    floor: float = 0.0


def is_fresh(told: float, *, now: float, period: float) -> bool:
    """Whether a row told at `told` still says something; its source probes every `period` seconds."""
    return now - told <= PERIODS * period


def round_trip(link: Link, percentile: Percentile) -> float | None:
    """Milliseconds, None where nobody measured."""
    if percentile == "p50":
        return link.p50
    return link.p99 if percentile == "p99" else link.ewma


def latency_of(reach: Reach, *, cluster: str, percentile: Percentile) -> Latency:
    """lat(c, S): law 2."""
    if reach.stays:
        return Latency(mean=0.0)
    total, weight, is_known = 0.0, 0, True
    for way in reach.sure:
        ready, link = way.ready, way.link
        weight += ready
        if way.cluster == cluster:
            continue
        rtt = round_trip(link, percentile) if link is not None else None
        if rtt is None:
            is_known = False
        else:
            total += ready * rtt
    if not weight:
        return Latency(mean=None)
    mean = total / weight
    return Latency(mean=mean if is_known else None, floor=mean)


class _ForSet(Struct, frozen=True):
    """The exporters as clusters of one set meet them: those that they may have a way to, those that no rule
    lets them reach. `open` says of each whether it serves everybody, so that a way that is Up is all that it
    takes. `is_spoked`: not all clusters of the set are linked to one another. `is_plain`: all are open, and
    serve everybody."""

    open: tuple[tuple[Exporter, bool], ...]
    closed: tuple[Obstacle, ...]
    is_spoked: bool
    is_plain: bool


class ReachTable:
    """reach and lat of one service, worked out for each cluster when it is first asked for."""

    def __init__(self, look: Look, service: str, exporters: tuple[Exporter, ...]) -> None:
        self.service = service
        self.exporters = exporters
        self._rows = look.snapshot.clusters
        self._sets, self._clusters, self._links = look.sets, look.clusters, look.links
        self._own = {one.cluster: one for one in exporters}
        self._for_sets: dict[str, _ForSet] = {}
        self._reaches: dict[str, Reach] = {}
        self._latencies: dict[Percentile, dict[str, Latency]] = {}
        self._facts: dict[Hashable, dict[str, object]] = {}
        # Of the table before, and the clusters of which they say nothing any more.
        self._handed_on: Mapping[Hashable, dict[str, object]] = {}
        self._changed: Sequence[str] = ()

    def reach(self, cluster: Cluster) -> Reach:
        """reach(c, S) and why the other exporters are not in it."""
        found = self._reaches.get(cluster.name)
        if found is None:
            found = self._reaches[cluster.name] = self._reach_of(cluster)
        return found

    def latencies(self, percentile: Percentile) -> Callable[[Cluster], Latency]:
        """lat(c, S) in this percentile, as a function of c."""
        known = self._latencies.setdefault(percentile, {})

        def latency(cluster: Cluster) -> Latency:
            found = known.get(cluster.name)
            if found is None:
                found = known[cluster.name] = self._latency_of(percentile, cluster)
            return found

        return latency

    def facts(
        self, rule: Hashable, clusters: Sequence[Cluster], work: Callable[[Cluster], _Fact]
    ) -> Mapping[str, _Fact]:
        """At least of these clusters, by name: what depends on nothing but `rule` and reach and lat."""
        known = self._facts.get(rule)
        if known is None:
            known = self._handed_on.get(rule, {})
            if self._changed and known:
                known = self._renewed(known, work)
        # As many as there are clusters are all of them.
        if len(known) < len(self._rows) and not all([one.name in known for one in clusters]):
            known = {**known, **{one.name: work(one) for one in clusters if one.name not in known}}
        self._facts[rule] = known
        return cast(Mapping[str, _Fact], known)  # the same rule is always asked with the same kind of work

    def carry(self, before: "ReachTable", look: Look) -> None:
        """Take over what the table of another snapshot has of clusters of which nothing has changed."""
        if before.exporters != self.exporters:
            return
        if any(self._for_set(name) != one for name, one in tuple(before._for_sets.items())):
            return
        self._changed = self._changed_since(before, look.changed_since(before._rows))
        self._handed_on = dict(before._facts)
        self._reaches = self._renewed(before._reaches, self._reach_of)
        for percentile, found in tuple(before._latencies.items()):
            self._latencies[percentile] = self._renewed(found, partial(self._latency_of, percentile))

    def _renewed(self, before: Mapping[str, _Fact], work: Callable[[Cluster], _Fact]) -> dict[str, _Fact]:
        """The same, but for clusters that changed: the order of names stays, so few changes are seen soon."""
        if len(self._changed) == len(self._clusters):
            return {name: work(one) for name, one in self._clusters.items() if name in before}
        found = dict(before)
        for name in self._changed:
            cluster = self._clusters.get(name)
            if cluster is None:
                found.pop(name, None)
            elif name in found:
                found[name] = work(cluster)
        return found

    def _changed_since(self, before: "ReachTable", change: Change) -> Sequence[str]:
        """Clusters of which the other table says nothing any more."""
        old, found = before._clusters, {*differing(before._links, self._links), *change.gone}
        for one in change.news:
            if one.name in old and one.cluster_set != old[one.name].cluster_set:
                found.add(one.name)
        return sorted(found)

    def _latency_of(self, percentile: Percentile, cluster: Cluster) -> Latency:
        return latency_of(self.reach(cluster), cluster=cluster.name, percentile=percentile)

    def _reach_of(self, cluster: Cluster) -> Reach:
        name = cluster.name
        found = self._for_set(cluster.cluster_set)
        others = found.open
        links = self._links.get(name, _NOWHERE)
        own = self._own.get(name)
        if own is None and found.is_plain:
            ways = [
                Way(one.cluster, one.ready, link)
                for one, _ in others
                if (link := links.get(one.cluster)) is not None and link.is_fresh and link.state == "Up"
            ]
            if len(ways) == len(others):
                return Reach(tuple(ways))
        sure: list[Way] = []
        unsure: list[Way] = []
        blocked: list[Obstacle] = []
        if own is not None:
            # Its own first: in an Isolated set it is the only one, and `others` are none.
            others = ((own, False), *(one for one in others if one[0] is not own))
        for one, serves_all in others:
            target = one.cluster
            link = links.get(target)
            if serves_all and link is not None and link.is_fresh and link.state == "Up":
                sure.append(Way(target, one.ready, link))
                continue
            if one is own:
                link, code = None, _at_home(one)
            elif link is None:
                code = _without_row(one, name, told=found.is_spoked and _is_told(links))
            else:
                code = _on_link(one, name, link)
            if code is None:
                sure.append(Way(target, one.ready, link))
            elif code is Code.PATH_UNKNOWN:
                unsure.append(Way(target, one.ready, link))
            else:
                blocked.append(Obstacle(code, target))
        if found.closed:
            blocked.extend(one for one in found.closed if one.cluster != name)
        stays = own is not None and own.local_first and bool(sure) and sure[0].cluster == name
        return Reach(tuple(sure), tuple(unsure), tuple(blocked), stays)

    def _for_set(self, cluster_set: str) -> _ForSet:
        found = self._for_sets.get(cluster_set)
        if found is None:
            view = self._sets.get(cluster_set, SetView(name=cluster_set))
            codes = [(one, self._closed(view, self._clusters.get(one.cluster))) for one in self.exporters]
            ways = tuple(
                (one, one.is_fresh and one.ready > 0 and one.allowed is None)
                for one, code in codes
                if code is None
            )
            closed = tuple(Obstacle(code, one.cluster) for one, code in codes if code is not None)
            found = self._for_sets[cluster_set] = _ForSet(
                open=ways,
                closed=closed,
                is_spoked=view.connectivity == "HubAndSpoke",
                is_plain=not closed and all(serves_all for _, serves_all in ways),
            )
        return found

    def _closed(self, view: SetView, exporter: Cluster | None) -> Code | None:
        if exporter is None:
            return Code.CONNECTIVITY_DISABLED
        if exporter.cluster_set == view.name:
            return Code.CONNECTIVITY_DISABLED if view.connectivity == "Isolated" else None
        other = self._sets.get(exporter.cluster_set, SetView(name=exporter.cluster_set))
        # A service of another set is another service, even where the two trust each other.
        is_trusted = other.trust_domain == view.trust_domain
        return Code.CONNECTIVITY_DISABLED if is_trusted else Code.TRUST_MISMATCH


# Law 5.
_KEPT = Kept[str, ReachTable](MOST_KEPT)


def reach_table(look: Look, service: str) -> ReachTable:
    """The table of the service: the same one for all who ask, until its exporters are others."""
    key = "reach", service
    found = look.memo.get(key)
    if isinstance(found, ReachTable) and service not in look.bringing:
        return found
    exporters = exporters_of(look, service)
    if isinstance(found, ReachTable) and found.exporters == exporters:
        return found
    made = ReachTable(look, service, exporters)
    kept = _KEPT.get(service)
    if kept is not None:
        made.carry(kept, look)
    look.memo[key] = made
    _KEPT.put(service, made)
    return made


def _is_told(links: Mapping[str, Link]) -> bool:
    return any(link.is_fresh for link in links.values())


def _without_row(one: Exporter, name: str, *, told: bool) -> Code:
    """What is in the way of whom no row tells; `told`: it is a spoke, and tells of its other links."""
    if one.allowed is not None and name not in one.allowed:
        return Code.POLICY_DENIED
    if one.is_fresh and not one.ready:
        return Code.NO_READY_ENDPOINTS
    return Code.CONNECTIVITY_DISABLED if told else Code.PATH_UNKNOWN


def _on_link(one: Exporter, name: str, link: Link) -> Code | None:
    if one.allowed is not None and name not in one.allowed:
        return Code.POLICY_DENIED
    if link.is_fresh and link.state == "Down":
        return Code.PATH_DOWN
    if one.is_fresh and not one.ready:
        return Code.NO_READY_ENDPOINTS
    if one.is_fresh and link.is_fresh and link.state != "Unknown":
        return None
    return Code.PATH_UNKNOWN


def _at_home(own: Exporter) -> Code | None:
    if not own.is_fresh:
        return Code.PATH_UNKNOWN
    return None if own.ready else Code.NO_READY_ENDPOINTS
