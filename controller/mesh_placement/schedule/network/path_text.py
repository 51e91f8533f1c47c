"""The way of a call hop by hop, for people (section 5.7 of the plan).

checkout@south-1 -> gw south-1 -(63.0 ms, Up)-> gw west-1 -> 4 ready endpoints
"""

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.calls import Calls, calls_of
from mesh_placement.schedule.network.codes import Code
from mesh_placement.schedule.network.needs import milliseconds
from mesh_placement.schedule.network.reach import Obstacle, Way, round_trip
from mesh_placement.schedule.snapshot import Cluster, Link, Wanted

_WHY = {
    Code.NO_READY_ENDPOINTS: "no ready endpoint",
    Code.POLICY_DENIED: "not allowed by its meshctl.dev/allow",
    Code.TRUST_MISMATCH: "another trust domain",
    Code.CONNECTIVITY_DISABLED: "connected by no ClusterSet",
}


def path_texts(look: Look, wanted: Wanted, cluster: Cluster) -> tuple[str, ...]:
    """One line for each exporter of each needed service, as calls from `cluster` would find it."""
    lines: list[str] = []
    for calls in calls_of(look, wanted):
        reach = calls.reach(cluster)
        begin = f"{wanted.name.partition('/')[2]}@{cluster.name}"
        lines += [_text(begin, cluster, way, calls) for way in (*reach.sure, *reach.unsure)]
        lines += [_blocked(begin, look, cluster, one) for one in reach.blocked]
        if reach.stays:
            lines.append(f"{begin}: {calls.need.service} is local-first, nothing leaves the cluster")
        elif not (reach.sure or reach.unsure or reach.blocked):
            lines.append(f"{begin} -> {calls.need.service}: exported by no cluster")
    return tuple(lines)


def _text(begin: str, cluster: Cluster, way: Way, calls: Calls) -> str:
    plural = "" if way.ready == 1 else "s"
    assumed = any(one.cluster == way.cluster and one.assumed for one in calls.table.exporters)
    end = f"{way.ready} {'planned' if assumed else 'ready'} endpoint{plural}"
    if way.cluster == cluster.name:
        return f"{begin} -> {end} in {cluster.name}"
    rtt = None if way.link is None else round_trip(way.link, calls.need.percentile)
    shown = "not measured" if rtt is None else milliseconds(rtt)
    return f"{begin} -> {_gateways(cluster.name, way.cluster, f'{shown}, {_state(way.link)}')} -> {end}"


def _blocked(begin: str, look: Look, cluster: Cluster, one: Obstacle) -> str:
    if one.code is Code.PATH_DOWN:
        return f"{begin} -> {_gateways(cluster.name, one.cluster, 'Down')}"
    why = _WHY.get(one.code, one.code.value)
    if one.cluster == cluster.name:
        return f"{begin} -> {why} in {cluster.name}"
    link = look.links.get(cluster.name, {}).get(one.cluster)
    return f"{begin} -> {_gateways(cluster.name, one.cluster, _state(link))}: {why}"


def _gateways(source: str, target: str, shown: str) -> str:
    return f"gw {source} -({shown})-> gw {target}"


def _state(link: Link | None) -> str:
    if link is None:
        return "no row"
    return link.state if link.is_fresh else f"{link.state}, not fresh"
