"""What ServiceReach says: what was seen, what is required, and which cluster would do better."""

from collections.abc import Sequence
from functools import cache

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.calls import Calls
from mesh_placement.schedule.network.codes import Code
from mesh_placement.schedule.network.needs import Need, milliseconds, short
from mesh_placement.schedule.network.reach import Reach, Way, round_trip
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.snapshot import Cluster, Wanted

MOST_SEARCHED = 50
"""Clusters of one placement whose links are searched for a nearer one: with a thousand that are too far it
would cost more than the decision."""
_MOST_NAMED = 3


class Words:
    """For the rejected of one placement; `homes` are the clusters that meet all its needs."""

    def __init__(self, look: Look, wanted: Wanted, homes: list[Cluster]) -> None:
        self._look = look
        self._wanted = wanted
        self._homes = homes
        self._searched = 0
        self._best = cache(self._best_home)
        self._shown = cache(self._short)

    def rejection(self, cluster: Cluster, calls: Calls, code: Code) -> Rejection:
        """What keeps this cluster from taking the placement."""
        reach = calls.reach(cluster)
        return Rejection(
            code=code.value,
            observed=f"{self._shown(calls)}{self._observed(cluster, calls, code, reach)}",
            required=_required(calls.need, is_reached=len(reach.sure) >= calls.need.least),
            hint=self._hint(cluster, calls, code, reach),
            holds=code is Code.PATH_UNKNOWN and calls.need.unknown == "Hold",
        )

    def _observed(self, cluster: Cluster, calls: Calls, code: Code, reach: Reach) -> str:
        """After the name of the service."""
        match code:
            case Code.TOO_FAR:
                return f" {milliseconds(calls.latency(cluster).floor)} via {_ways(reach.sure)}"
            case Code.TOO_FEW:
                known = f" in {_ways(reach.sure)} alone" if reach.sure else " nowhere for sure"
                return f"{known}, {_ways(reach.unsure)} not known" if reach.unsure else known
            case Code.PATH_UNKNOWN if len(reach.sure) >= calls.need.least:
                return f" via {_ways(reach.sure)}, nobody measured how far"
            case Code.PATH_UNKNOWN:
                return f": {cluster.name} -> {_ways(reach.unsure)}, no fresh word of it"
            case Code.PATH_DOWN:
                return f": {cluster.name} -> {_blocked(reach, code)}"
            case Code.NOT_EXPORTED:
                return " in no cluster"
            case _:
                return f" in {_blocked(reach, code)}"

    def _hint(self, cluster: Cluster, calls: Calls, code: Code, reach: Reach) -> str:
        service = calls.need.service
        if code is Code.TOO_FAR:
            return (
                self._nearer(cluster, calls) or self._best(calls) or "a larger maxRTT, or a nearer exporter"
            )
        if code is Code.NOT_EXPORTED:
            brought = [one.name for one in self._look.bringing.get(service, ())]
            made = f"place {_named(brought)}" if brought else f"make a ServiceExport {service}"
            return f"{made} in a cluster of the set"
        if code is Code.POLICY_DENIED:
            return f"meshctl.dev/allow of {service} in {_blocked(reach, code)} does not name {cluster.name}"
        best = self._best(calls)
        if best:
            return best
        match code:
            case Code.NO_READY_ENDPOINTS:
                return f"see the pods of {self._shown(calls)} in {_blocked(reach, code)}"
            case Code.PATH_UNKNOWN:
                return _who_is_silent(cluster, reach, least=calls.need.least)
            case Code.PATH_DOWN:
                return f"run meshctl check in {cluster.name}"
            case Code.TOO_FEW:
                return f"export {self._shown(calls)} in more clusters, or ask for fewer"
            case _:
                return f"export {self._shown(calls)} in the ClusterSet {cluster.cluster_set}"

    def _short(self, calls: Calls) -> str:
        return short(calls.need.service, self._wanted)

    def _nearer(self, cluster: Cluster, calls: Calls) -> str:
        """A cluster that is near enough, but for the export."""
        self._searched += 1
        budget = calls.need.budget
        if budget is None or self._searched > MOST_SEARCHED:
            return ""
        exporting = {one.cluster: one.ready for one in calls.table.exporters}
        near = [
            (rtt, link.target)
            for link in self._look.links.get(cluster.name, {}).values()
            if link.is_fresh and link.state in ("Up", "Degraded") and not exporting.get(link.target)
            if (rtt := round_trip(link, calls.need.percentile)) is not None and rtt <= budget
        ]
        if not near:
            return ""
        target = min(near)[1]
        lacks = "has no ready endpoint of it" if target in exporting else "does not export it"
        return f"{target} is near enough but {lacks}"

    def _best_home(self, calls: Calls) -> str:
        known = [(mean, home.name) for home in self._homes if (mean := calls.latency(home).mean) is not None]
        if not known:
            return ""
        mean, name = min(known)
        return f"{name} has it itself" if mean == 0 else f"{name} reaches it in {milliseconds(mean)}"


def _who_is_silent(cluster: Cluster, reach: Reach, *, least: int) -> str:
    if len(reach.sure) >= least:
        return f"run meshctl check in {cluster.name}"
    link = reach.unsure[0].link
    is_told = link is not None and link.is_fresh
    if is_told and link is not None and link.state == "Unknown":
        return f"run meshctl check in {cluster.name}"
    agent = reach.unsure[0].cluster if is_told else cluster.name
    return f"see whether the agent of {agent} runs and reaches the hub"


def _required(need: Need, *, is_reached: bool) -> str:
    if is_reached and need.budget is not None:
        return f"<= {need.budget:g} ms"
    return f"{need.least} reachable {'exporter' if need.least == 1 else 'exporters'}"


def _ways(ways: Sequence[Way]) -> str:
    return ways[0].cluster if len(ways) == 1 else _named([one.cluster for one in ways])


def _blocked(reach: Reach, code: Code) -> str:
    return _named([one.cluster for one in reach.blocked if one.code is code])


def _named(names: Sequence[str]) -> str:
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
