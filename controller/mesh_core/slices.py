"""The EndpointSlices that an import should have, but for those of stand-ins (`mesh_core.stand_in_slices`).

KEP-1645, "EndpointSlice"; docs/conflicts.md, "Slices".

1. A slice holds endpoints of one cluster and one address family, at most `MOST_IN_SHARD`.
2. Our own endpoints and those of neighbours are listed chunk by chunk, as the exporter's slices divide them;
   only ports that the import has from that cluster are listed.
3. A remote cluster's slice lists the ready local gateways with the port allocated here, and in an
   annotation how many ready endpoints stand behind each port there. Gateways carry no nodeName, so
   `internalTrafficPolicy: Local` never picks them.
4. All slices that list gateways say alike whether they are ready: they name the same address and port,
   and kube-proxy keeps whichever it meets first in a Go map, ready or not (endpointslicecache.go).
5. The label `kubernetes.io/service-name` never changes in a slice's life: kube-proxy does not notice. A slice
   that is set aside, so that kube-proxy does not use it, has another name.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import structs

from mesh_core.chunks import Chunk, chunk_of, normal_ports
from mesh_core.export import REFUSED_PROTOCOL
from mesh_core.import_view import ImportView
from mesh_core.lanes import Lanes, chosen
from mesh_core.merge import MergedImport
from mesh_core.names import (
    ANNOTATION_READY_ENDPOINTS,
    ANNOTATION_TARGET_PORTS,
    LABEL_KUBERNETES_SERVICE,
    LABEL_LANE,
    LABEL_SERVICE,
    LABEL_SERVICE_NAME,
    LABEL_SLICE_MANAGED_BY,
    LABEL_SOURCE_CLUSTER,
    MANAGER,
    shadow_service_name,
)
from mesh_core.objects import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from mesh_core.ports import CARRIED_PROTOCOLS, PortTarget
from mesh_core.record import MOST_IN_SHARD, RecordPort
from mesh_core.topology import hinted

ANNOTATION_ZONE_SCOPE = "meshctl.dev/zone-scope"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSlice:
    """A slice as it should be."""

    namespace: str
    name: str
    address_type: str = "IPv4"
    ports: tuple[EndpointPort, ...]
    endpoints: tuple[Endpoint, ...]
    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def leads_to_gateways(self) -> bool:
        """Whether the ports are egress ports of ours, not ports of pods."""
        noted = ANNOTATION_READY_ENDPOINTS in self.annotations or ANNOTATION_TARGET_PORTS in self.annotations
        return noted or LABEL_LANE in self.labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the endpoints of one import are laid out: decided once, then written down slice by slice.

    `aside` are the clusters whose slices kube-proxy is not to use; `with_hints` whether endpoints get hints.
    `offered` are the ports that slices with gateways list: those that anybody behind them has ready, or all
    when nobody has any.
    """

    merged: MergedImport
    gateway_clusters: tuple[str, ...]
    neighbours: tuple[str, ...]
    lanes: Lanes
    aside: frozenset[str]
    with_hints: bool
    offered: frozenset[str] = frozenset()


def is_ours(piece: EndpointSlice) -> bool:
    """Whether we manage this slice."""
    return piece.metadata.labels.get(LABEL_SLICE_MANAGED_BY) == MANAGER


def mcs_labels(*, service: str, cluster: str) -> dict[str, str]:
    """The labels of every slice of an import with endpoints of `cluster`."""
    return {
        LABEL_SERVICE_NAME: service,
        LABEL_SOURCE_CLUSTER: cluster,
        LABEL_SLICE_MANAGED_BY: MANAGER,
    }


def carried(served: Iterable[RecordPort]) -> tuple[RecordPort, ...]:
    """Those ports that a gateway carries."""
    return tuple(port for port in served if port.protocol in CARRIED_PROTOCOLS)


def own_slices(view: ImportView, *, layout: Layout) -> list[WantedSlice]:
    """Our own endpoints behind the import."""
    return _listed(view, layout=layout, cluster=view.cluster, chunks=view.chunks)


def neighbour_slices(view: ImportView, *, layout: Layout) -> list[WantedSlice]:
    """The endpoints of clusters on our network, by their own addresses."""
    return [
        piece
        for cluster in layout.neighbours
        for piece in _listed(
            view,
            layout=layout,
            cluster=cluster,
            chunks=[chunk_of(shard) for shard in view.reached if shard.cluster == cluster],
        )
    ]


def _listed(view: ImportView, *, layout: Layout, cluster: str, chunks: Iterable[Chunk]) -> list[WantedSlice]:
    scopes = layout.merged.scopes
    same_scope = cluster == view.cluster or (
        bool(scopes.get(cluster)) and scopes.get(cluster) == scopes.get(view.cluster)
    )
    aside = cluster in layout.aside
    labels = mcs_labels(service=view.name, cluster=cluster)
    if layout.merged.spec.type == "ClusterSetIP" and not aside:
        labels |= _datapath(view)
    annotations = {ANNOTATION_ZONE_SCOPE: scopes[cluster]} if scopes.get(cluster) else {}
    wanted: list[WantedSlice] = []
    for chunk in chunks:
        ports = ports_served(chunk, served=layout.merged.serving.get(cluster, ()))
        # A headless Service may have no ports at all: then its slices have none either.
        if not ports and (chunk.ports or layout.merged.spec.type != "Headless"):
            continue
        endpoints = chunk.endpoints
        if layout.with_hints:
            endpoints = tuple(hinted(endpoint, same_scope=same_scope) for endpoint in endpoints)
        elif any(endpoint.hints is not None for endpoint in endpoints):
            endpoints = tuple(structs.replace(endpoint, hints=None) for endpoint in endpoints)
        wanted.append(
            WantedSlice(
                namespace=view.namespace,
                name=f"{view.name}.{cluster}.{chunk.shard}{'.aside' if aside else ''}",
                address_type=chunk.address_type,
                ports=ports,
                endpoints=endpoints,
                labels=labels,
                annotations=annotations,
            )
        )
    return wanted


def ports_served(chunk: Chunk, *, served: Iterable[RecordPort]) -> tuple[EndpointPort, ...]:
    """The ports of the chunk that the import has from its cluster; SCTP is nobody's to carry."""
    known = {(port.name, port.protocol) for port in served if port.protocol != REFUSED_PROTOCOL}
    return tuple(port for port in chunk.ports if (port.name or "", port.protocol) in known)


def gateway_slices(view: ImportView, *, layout: Layout) -> list[WantedSlice]:
    """One slice and family for each cluster that is reached through the gateways, and the further lanes."""
    wanted: list[WantedSlice] = []
    for family in ("IPv4", "IPv6"):
        addresses = view.gateways.of(family)
        if family == "IPv6" and not (addresses and _has_family(view, family)):
            continue
        listed = chosen(addresses, number=layout.lanes.gateways, service=f"{view.namespace}/{view.name}")
        endpoints = _gateway_endpoints(listed, layout=layout)
        wanted += [
            _remote_slice(view, layout=layout, cluster=cluster, family=family, endpoints=endpoints)
            for cluster in layout.gateway_clusters
        ]
        further = (
            _lane_slice(view, layout=layout, lane=lane, family=family, endpoints=endpoints)
            for lane in range(1, layout.lanes.lanes)
        )
        # A lane that got no ports, because few are left, is none.
        wanted += [piece for piece in further if piece.ports]
    return wanted


def offered(merged: MergedImport, *, clusters: Iterable[str]) -> frozenset[str]:
    """The ports that these clusters have ready, or all that they serve when none has any.

    A port that nobody behind the gateways has must not take connections from pods here that have it.
    """
    ports = [port for cluster in clusters for port in carried(merged.serving[cluster])]
    ready = frozenset(port.name for port in ports if port.ready)
    return ready or frozenset(port.name for port in ports)


def weights(view: ImportView, *, layout: Layout) -> dict[str, dict[str, int]]:
    """Ready endpoints by cluster and port name, where a peer's share is bounded no more than its share.

    A bounded peer gets at most that percentage of what goes to the mesh, as long as others are ready too.
    """
    counts = {
        cluster: {port.name: port.ready for port in carried(layout.merged.serving[cluster])}
        for cluster in layout.gateway_clusters
    }
    bounded: dict[str, dict[str, int]] = {}
    for cluster, own in counts.items():
        share = view.shares.get(cluster, 100)
        bounded[cluster] = {}
        for name, count in own.items():
            others = sum(other.get(name, 0) for where, other in counts.items() if where != cluster)
            most = others * share // (100 - share) if share < 100 and others else count
            bounded[cluster][name] = min(count, max(most, 1))
    return bounded


def _remote_slice(
    view: ImportView, *, layout: Layout, cluster: str, family: str, endpoints: tuple[Endpoint, ...]
) -> WantedSlice:
    aside = cluster in layout.aside
    served = [port for port in carried(layout.merged.serving[cluster]) if port.name in layout.offered]
    ready = weights(view, layout=layout)[cluster]
    return WantedSlice(
        namespace=view.namespace,
        name=f"{view.name}.{cluster}.{family.lower()}{'.aside' if aside else ''}",
        address_type=family,
        ports=_egress_ports(view, served=served, lane=0),
        endpoints=endpoints,
        labels=mcs_labels(service=view.name, cluster=cluster) | ({} if aside else _datapath(view)),
        annotations={ANNOTATION_READY_ENDPOINTS: json.dumps(ready, sort_keys=True)},
    )


def _lane_slice(
    view: ImportView, *, layout: Layout, lane: int, family: str, endpoints: tuple[Endpoint, ...]
) -> WantedSlice:
    """A slice that is kube-proxy's alone: it has no label of the MCS API."""
    names = {port.name: port for c in layout.gateway_clusters for port in carried(layout.merged.serving[c])}
    # No name of a remote slice: those end in a family, ten characters, or a word of more.
    suffix = "lane" if family == "IPv4" else "lane6"
    return WantedSlice(
        namespace=view.namespace,
        name=f"{view.name}.{lane}.{suffix}",
        address_type=family,
        ports=_egress_ports(
            view, served=[port for port in names.values() if port.name in layout.offered], lane=lane
        ),
        endpoints=endpoints,
        labels={
            LABEL_SLICE_MANAGED_BY: MANAGER,
            LABEL_SERVICE: view.name,
            LABEL_LANE: str(lane),
            **_datapath(view),
        },
    )


def _gateway_endpoints(addresses: Sequence[str], *, layout: Layout) -> tuple[Endpoint, ...]:
    ready = any(port.ready for c in layout.gateway_clusters for port in carried(layout.merged.serving[c]))
    conditions = EndpointConditions(ready=ready, serving=ready, terminating=False)
    endpoints = tuple(
        Endpoint(addresses=(address,), conditions=conditions) for address in addresses[:MOST_IN_SHARD]
    )
    if not layout.with_hints:
        return endpoints
    return tuple(hinted(endpoint, same_scope=False) for endpoint in endpoints)


def _egress_ports(view: ImportView, *, served: Iterable[RecordPort], lane: int) -> tuple[EndpointPort, ...]:
    held = {
        port.name: view.ports.get(PortTarget(view.namespace, view.name, port.name, lane=lane))
        for port in served
    }
    return normal_ports(
        EndpointPort(name=p.name, protocol=p.protocol, port=held[p.name], app_protocol=p.app_protocol)
        for p in served
        if held[p.name] is not None
    )


def _datapath(view: ImportView) -> dict[str, str]:
    """The label that makes kube-proxy use a slice."""
    return {LABEL_KUBERNETES_SERVICE: shadow_service_name(namespace=view.namespace, name=view.name)}


def _has_family(view: ImportView, family: str) -> bool:
    return view.shadow is not None and family in view.shadow.spec.ip_families
