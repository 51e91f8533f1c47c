"""What ServiceReach says: what was seen, what is required, and which cluster would do better."""

from functools import cache

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.calls import Calls
from mesh_placement.schedule.network.codes import Code
from mesh_placement.schedule.network.needs import milliseconds, short
from mesh_placement.schedule.network.reach import round_trip
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

    def rejection(self, cluster: Cluster, calls: Calls, code: Code) -> Rejection:
        """What keeps this cluster from taking the placement."""
        return Rejection(
            code=code.value,
            observed=self._observed(cluster, calls, code),
            required=_required(calls, is_reached=len(calls.reach(cluster).sure) >= calls.need.least),
            hint=self._hint(cluster, calls, code),
            holds=code is Code.PATH_UNKNOWN and calls.need.unknown == "Hold",
        )

    def _observed(self, cluster: Cluster, calls: Calls, code: Code) -> str:
        service, reach = short(calls.need.service, self._wanted), calls.reach(cluster)
        names = _named([way.cluster for way in reach.sure])
        unsure = _named([way.cluster for way in reach.unsure])
        blocked = [one.cluster for one in reach.blocked if one.code is code]
        match code:
            case Code.TOO_FAR:
                return f"{service} {milliseconds(calls.latency(cluster).floor)} via {names}"
            case Code.TOO_FEW:
                known = f"{names} alone" if names else "none for sure"
                return f"{service} in {known}" + (f", {unsure} not known" if unsure else "")
            case Code.PATH_UNKNOWN if len(reach.sure) >= calls.need.least:
                return f"{service} via {names}, nobody measured how far"
            case Code.PATH_UNKNOWN:
                return f"{service}: {cluster.name} -> {unsure}, no fresh word of it"
            case Code.PATH_DOWN:
                return f"{service}: {', '.join(f'{cluster.name} -> {one}' for one in blocked[:_MOST_NAMED])}"
            case Code.NOT_EXPORTED:
                return f"{service} in no cluster"
            case _:
                return f"{service} in {_named(blocked)}"

    def _hint(self, cluster: Cluster, calls: Calls, code: Code) -> str:
        need, service = calls.need, short(calls.need.service, self._wanted)
        blocked = _named([one.cluster for one in calls.reach(cluster).blocked if one.code is code])
        match code:
            case Code.TOO_FAR:
                return (
                    self._nearer(cluster, calls)
                    or self._best(calls)
                    or "a larger maxRTT, or a nearer exporter"
                )
            case Code.NOT_EXPORTED:
                brought = [one.name for one in self._look.bringing.get(need.service, ())]
                made = f"place {_named(brought)}" if brought else f"make a ServiceExport {need.service}"
                return f"{made} in a cluster of the set"
            case Code.NO_READY_ENDPOINTS:
                return self._best(calls) or f"see the pods of {service} in {blocked}"
            case Code.PATH_UNKNOWN:
                return (
                    self._best(calls) or f"see whether the agent of {cluster.name} runs and reaches the hub"
                )
            case Code.PATH_DOWN:
                return self._best(calls) or f"run meshctl check in {cluster.name}"
            case Code.POLICY_DENIED:
                return f"meshctl.dev/allow of {need.service} in {blocked} does not name {cluster.name}"
            case Code.TOO_FEW:
                return self._best(calls) or f"export {service} in more clusters, or ask for fewer"
            case _:
                return self._best(calls) or f"export {service} in the ClusterSet {cluster.cluster_set}"

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


def _required(calls: Calls, *, is_reached: bool) -> str:
    need = calls.need
    if is_reached and need.budget is not None:
        return f"<= {need.budget:g} ms"
    return f"{need.least} reachable {'exporter' if need.least == 1 else 'exporters'}"


def _named(names: list[str]) -> str:
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
