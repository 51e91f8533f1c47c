"""How an import's endpoints are laid out: who is reached how, who is set aside, how many lanes there are.

1. A cluster whose export does not allow us is left out (ruling 26).
2. A neighbour is reached directly, everybody else through the gateways; so is a neighbour whose export is
   not for all of this cluster, since pods do not ask who calls, and one whose endpoints are not known here
   one by one, because they have not come yet or were refused.
3. With `local-first` remote clusters are set aside while each port that they serve has a ready endpoint
   here; with an internal traffic policy `Local` always: then only local pods are listed for kube-proxy
   (rulings 21 and 22).
"""

from collections import Counter

from mesh_core.chunks import chunk_of, ready_by_port
from mesh_core.import_view import ImportView, obstacle
from mesh_core.lanes import Division, Lanes, is_off, wanted_lanes
from mesh_core.merge import MergedImport
from mesh_core.ports import PortTarget, claims_of
from mesh_core.record import Traffic
from mesh_core.slices import Layout, carried, offered, ports_served
from mesh_core.stand_ins import stand_in_targets
from mesh_core.topology import wants_hints


def layout_of(view: ImportView, *, merged: MergedImport) -> Layout:
    """The layout of the import."""
    remote = tuple(c for c in merged.serving if c != view.cluster and c in view.usable)
    neighbours = tuple(c for c in remote if c in view.direct and _is_known(view, c, merged=merged))
    through = tuple(c for c in remote if c not in neighbours)
    gateway_clusters = tuple(c for c in through if carried(merged.serving[c]))
    if merged.spec.type == "Headless":
        # Through the gateways there is no such thing as any endpoint: each has a stand-in.
        return Layout(
            merged=merged,
            gateway_clusters=(),
            neighbours=neighbours,
            lanes=Lanes(1, 1),
            aside=frozenset(),
            with_hints=False,
        )
    division = division_of(view, merged=merged, clusters=gateway_clusters, near=neighbours)
    only_local = merged.spec.internal_traffic_policy == "Local" or (
        merged.traffic is Traffic.LOCAL_FIRST and _is_enough(view, merged=merged, remote=remote)
    )
    aside = frozenset(remote) if only_local else frozenset[str]()
    lanes = Lanes(1, max(1, division.gateways))
    if not aside and gateway_clusters:
        lanes = wanted_lanes(present_lanes(view), division=division, settled=view.settled)
    return Layout(
        merged=merged,
        gateway_clusters=gateway_clusters,
        neighbours=neighbours,
        lanes=lanes,
        aside=aside,
        with_hints=wants_hints(merged.spec.traffic_distribution, own=view.chunks),
        offered=offered(merged, clusters=gateway_clusters),
    )


def lanes_are_off(view: ImportView, *, merged: MergedImport) -> bool:
    """Whether the lanes that are there should be others, if that lasts."""
    present = present_lanes(view) if view.chunks or view.neighbours else None
    if present is None:
        return False
    layout = layout_of(view, merged=merged)
    if layout.aside or not layout.gateway_clusters:
        return False
    division = division_of(view, merged=merged, clusters=layout.gateway_clusters, near=layout.neighbours)
    return bool(division.local) and is_off(present, division=division)


def _is_enough(view: ImportView, *, merged: MergedImport, remote: tuple[str, ...]) -> bool:
    """Whether every port that another cluster serves has a ready endpoint here too."""
    here = {port.name for port in merged.serving.get(view.cluster, ())}
    ready = ready_by_port(view.chunks)
    there = {port.name for cluster in remote for port in carried(merged.serving[cluster])}
    return all(name in here and ready[name] for name in there)


def _is_known(view: ImportView, cluster: str, *, merged: MergedImport) -> bool:
    """Whether a neighbour's endpoints are known here, or it has none that could be."""
    served = merged.serving[cluster]
    chunks = [chunk_of(shard) for shard in view.shards if shard.cluster == cluster]
    here = ready_by_port(chunk for chunk in chunks if ports_served(chunk, served=served))
    # As it was told, reached or not: withdrawing a cluster changes no way to it.
    told = {port.name: port.ready for one in view.records if one.cluster == cluster for port in one.ports}
    # Records and shards come one by one: with half of them here the way is worth taking.
    return all(2 * here[port.name] >= told[port.name] for port in served)


def division_of(
    view: ImportView, *, merged: MergedImport, clusters: tuple[str, ...], near: tuple[str, ...]
) -> Division:
    """Ready endpoints here and behind the gateways, by the port that has most of them."""
    served = {port.name for port in merged.serving.get(view.cluster, ())}
    here = ready_by_port(view.chunks)
    # Pods of neighbours are endpoints of kube-proxy like our own.
    close = ready_by_port(chunk_of(shard) for shard in view.reached if shard.cluster in near)
    there: Counter[str] = Counter()
    for cluster in clusters:
        there.update({port.name: port.ready for port in carried(merged.serving[cluster])})
    own = max((count for name, count in here.items() if name in served), default=0)
    return Division(
        local=own + max(close.values(), default=0),
        remote=max(there.values(), default=0),
        gateways=max(len(view.gateways.ipv4), len(view.gateways.ipv6)),
    )


def present_lanes(view: ImportView) -> Lanes | None:
    """The lanes that the slices show; None when there is no slice through the gateways."""
    claims = [(piece, claims_of(piece, cluster=view.cluster)) for piece in view.slices]
    used = [(piece, some[0].target) for piece, some in claims if some and not some[0].target.is_stand_in]
    if not used:
        return None
    return Lanes(
        lanes=max(target.lane for _piece, target in used) + 1,
        gateways=max(len(piece.endpoints or ()) for piece, _target in used),
    )


def wanted_targets(view: ImportView, *, merged: MergedImport) -> tuple[PortTarget, ...]:
    """What the import needs egress ports for; nothing while somebody's own object is in its place."""
    # A port that no slice will claim would be noted anew at every look.
    shadow = view.shadow if merged.spec.type == "ClusterSetIP" else None
    if obstacle(service_import=view.service_import, shadow=shadow):
        return ()
    layout = layout_of(view, merged=merged)
    names = sorted(layout.offered)
    lanes = [
        PortTarget(view.namespace, view.name, name, lane=lane)
        for lane in range(layout.lanes.lanes)
        for name in names
    ]
    return (*lanes, *stand_in_targets(view, merged=merged))
