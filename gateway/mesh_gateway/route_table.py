"""The table of routes, computed from objects of this cluster.

1. The same objects give the same table, in whatever order they lie in the caches.
2. Only TCP is carried: ports of other protocols, which imports and slices may name, lead nowhere.
3. What local ports lead to is `egress_routes`', what names lead to is `ingress_routes`'.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mesh_core.identity import ClusterId, Domain, InvalidName, cluster_id
from mesh_core.names import PEER_STREAM_PORT_NAME
from mesh_core.objects import EndpointSlice, MeshPeer, ServiceExport, ServiceImport
from mesh_gateway.egress_routes import contested_claims, egress_claims, egress_routes
from mesh_gateway.ingress_routes import ingress_routes, ready_addresses
from mesh_gateway.route import Address, RouteTable


@dataclass(frozen=True, slots=True)
class Objects:
    """What the table is computed from, as the caches hold it.

    `slices` are those that our controller manages, `controllers` those of its own Service.
    """

    cluster: ClusterId
    domain: Domain
    slices: Sequence[EndpointSlice]
    imports: Sequence[ServiceImport]
    exports: Sequence[ServiceExport]
    peers: Sequence[MeshPeer]
    controllers: Sequence[EndpointSlice]


def route_table(objects: Objects) -> RouteTable:
    """The table for these objects."""
    gateways = _gateways(objects.peers)
    claims = egress_claims(objects.slices, cluster=objects.cluster)
    return RouteTable(
        cluster=objects.cluster,
        domain=objects.domain,
        egress=egress_routes(
            claims,
            slices=objects.slices,
            imports=objects.imports,
            reachable=gateways.keys() - {objects.cluster},
        ),
        ingress=ingress_routes(
            objects.slices, cluster=objects.cluster, imports=objects.imports, exports=objects.exports
        ),
        controllers=ready_addresses(objects.controllers, port_name=PEER_STREAM_PORT_NAME),
        gateways=gateways,
        contested=contested_claims(claims),
    )


def _gateways(peers: Iterable[MeshPeer]) -> dict[ClusterId, tuple[Address, ...]]:
    found: dict[ClusterId, tuple[Address, ...]] = {}
    for peer in sorted(peers, key=lambda peer: peer.metadata.name):
        try:
            cluster = cluster_id(peer.metadata.name)
        except InvalidName:
            continue  # no certificate can name it, so it can never be reached
        if peer.spec.gateways:
            found[cluster] = tuple(Address(way.host, way.port) for way in peer.spec.gateways)
    return found
