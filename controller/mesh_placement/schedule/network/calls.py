"""One need of one placement, as every cluster would meet it: what filters, scores and explanations ask."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.codes import Code
from mesh_placement.schedule.network.needs import Need, needs_of
from mesh_placement.schedule.network.reach import Latency, Reach, ReachTable, Way, latency_of, reach_table
from mesh_placement.schedule.snapshot import Cluster, Wanted

Fact = TypeVar("Fact")


class Calls:
    """The calls of `wanted` for `need`; a service that it brings itself is there wherever it is.

    `reach` is reach(c, S), `latency` lat(c, S) in the percentile that the need names.
    """

    def __init__(self, look: Look, wanted: Wanted, need: Need) -> None:
        self.need = need
        self.table: ReachTable = reach_table(look, need.service)
        self._replicas = wanted.demand.replicas or 1
        brings = need.service in wanted.demand.exports
        # Asked a thousand times for each placement: without a step in between where there is nothing to add.
        self.reach: Callable[[Cluster], Reach] = self._with_own if brings else self.table.reach
        self.latency: Callable[[Cluster], Latency] = (
            self._latency_with_own if brings else self.table.latencies(need.percentile)
        )
        self._brings = brings

    def obstacles(self, clusters: Sequence[Cluster]) -> Mapping[str, Code | None]:
        """`obstacle` of at least these clusters, by name."""
        need = self.need
        rule = "obstacle", need.least, need.budget, need.percentile
        return self.facts(rule, clusters, self.obstacle)

    def facts(
        self, rule: Hashable, clusters: Sequence[Cluster], work: Callable[[Cluster], Fact]
    ) -> Mapping[str, Fact]:
        """At least of these clusters, by name: what depends on nothing but `rule`, reach and latency."""
        if self._brings:
            return {cluster.name: work(cluster) for cluster in clusters}
        return self.table.facts(rule, clusters, work)

    def obstacle(self, cluster: Cluster) -> Code | None:
        """What keeps the need from being met in the cluster; None when it is met."""
        reach, need = self.reach(cluster), self.need
        if len(reach.sure) < need.least:
            return _too_few(reach, least=need.least)
        if need.budget is None:
            return None
        latency = self.latency(cluster)
        if latency.floor > need.budget or (latency.mean or 0.0) > need.budget:
            return Code.TOO_FAR
        return Code.PATH_UNKNOWN if latency.mean is None else None

    def _with_own(self, cluster: Cluster) -> Reach:
        return _with_own(self.table.reach(cluster), cluster.name, self._replicas)

    def _latency_with_own(self, cluster: Cluster) -> Latency:
        return latency_of(self.reach(cluster), cluster=cluster.name, percentile=self.need.percentile)


def calls_of(look: Look, wanted: Wanted) -> tuple[Calls, ...]:
    """One for each need, in the placement's own order."""
    return tuple(Calls(look, wanted, need) for need in needs_of(wanted))


def keys_of(calls: Iterable[Calls]) -> tuple[Need, ...]:
    """What tells these calls from other ones, for who keeps what he worked out of all of them."""
    return tuple(one.need for one in calls)


def _too_few(reach: Reach, *, least: int) -> Code:
    possible = len(reach.sure) + len(reach.unsure)
    if possible >= least:
        return Code.PATH_UNKNOWN
    if possible:
        return Code.TOO_FEW
    met = {one.code for one in reach.blocked}
    # The first of the list that is met: what is nearest to working says most.
    return next((code for code in Code if code in met), Code.NOT_EXPORTED)


def _with_own(reach: Reach, name: str, replicas: int) -> Reach:
    if any(way.cluster == name for way in reach.sure):
        return reach
    return Reach(
        sure=(Way(name, replicas, None), *reach.sure),
        unsure=tuple(way for way in reach.unsure if way.cluster != name),
        blocked=tuple(one for one in reach.blocked if one.cluster != name),
    )
