"""The table of routes, computed from objects of this cluster.

1. The same objects give the same table, in whatever order they lie in the caches.
2. Only TCP and UDP are carried: ports of other protocols, which imports and slices may name, lead nowhere.
3. What local ports lead to is `egress_routes`', what names lead to is `ingress_routes`', and what names of
   an application's own is `public_routes`'.
"""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mesh_core.identity import ClusterId, Domain, InvalidName, cluster_id
from mesh_core.names import JOIN_PORT_NAME, PEER_STREAM_PORT_NAME
from mesh_core.objects import EndpointSlice, MeshPeer, ServiceExport, ServiceImport
from mesh_core.ranges import Ranges, ranges_of
from mesh_gateway.egress_routes import contested_claims, egress_claims, egress_routes
from mesh_gateway.ground import Ground
from mesh_gateway.ingress_routes import first_ports, ingress_routes, ready_addresses
from mesh_gateway.public_routes import public_routes
from mesh_gateway.route import Address, RouteTable


@dataclass(frozen=True, slots=True)
class Objects:
    """What the table is computed from, as the caches hold it.

    `slices` are those that our controller manages, `controllers` those of its own Service. `network` is the
    one that this cluster shares with others, "" for none. Without `ground` nothing is known of addresses, and
    all that can be pods' count as such. `api_server` is where this cluster's answers, empty where that is not
    known.
    """

    cluster: ClusterId
    domain: Domain
    slices: Sequence[EndpointSlice]
    imports: Sequence[ServiceImport]
    exports: Sequence[ServiceExport]
    peers: Sequence[MeshPeer]
    controllers: Sequence[EndpointSlice]
    ground: Ground | None = None
    network: str = ""
    api_server: tuple[Address, ...] = ()


def route_table(objects: Objects) -> RouteTable:
    """The table for these objects."""
    gateways = _gateways(objects.peers)
    claims = egress_claims(objects.slices, cluster=objects.cluster)
    inward = ingress_routes(
        objects.slices,
        cluster=objects.cluster,
        imports=objects.imports,
        exports=objects.exports,
        ground=objects.ground,
    )
    public = public_routes(
        objects.exports, imports=objects.imports, ingress=inward.routes, domain=objects.domain
    )
    return RouteTable(
        cluster=objects.cluster,
        domain=objects.domain,
        egress=egress_routes(
            claims,
            slices=objects.slices,
            imports=objects.imports,
            reachable=gateways.keys() - {objects.cluster},
        ),
        ingress=inward.routes,
        controllers=ready_addresses(objects.controllers, port_name=PEER_STREAM_PORT_NAME),
        gateways=gateways,
        contested=contested_claims(claims),
        exported=inward.exported,
        external=inward.external,
        refused=inward.refused,
        judged=inward.judged,
        neighbours=neighbours(objects.peers, network=objects.network),
        public=public.routes,
        names_refused=public.refused,
        joins=ready_addresses(objects.controllers, port_name=JOIN_PORT_NAME),
        api_server=objects.api_server,
        consents=_consents(objects.peers, linked=gateways),
        first=first_ports(inward.routes),
    )


def neighbours(peers: Iterable[MeshPeer], *, network: str) -> dict[ClusterId, Ranges]:
    """The peers on `network`, our own, with the ranges that their MeshPeers say their pods lie in."""
    found: dict[ClusterId, Ranges] = {}
    for peer in peers:
        if network and peer.spec.network == network:
            with suppress(InvalidName):
                found[cluster_id(peer.metadata.name)] = ranges_of(peer.spec.imports.pod_cidrs)
    return found


def _consents(peers: Iterable[MeshPeer], *, linked: Collection[ClusterId]) -> dict[ClusterId, frozenset[str]]:
    """What each linked peer may reach beside services; who may reach nothing is not in it."""
    said = {peer.metadata.name: frozenset(peer.spec.access) for peer in peers if peer.spec.access}
    return {cluster: said[cluster] for cluster in linked if cluster in said}


def _gateways(peers: Iterable[MeshPeer]) -> dict[ClusterId, tuple[Address, ...]]:
    found: dict[ClusterId, tuple[Address, ...]] = {}
    for peer in sorted(peers, key=lambda peer: peer.metadata.name):
        try:
            cluster = cluster_id(peer.metadata.name)
        except InvalidName:
            continue  # no certificate can name it, so it can never be reached
        # Who is never dialled has no address here, and is reached by tunnels that it dialled itself.
        if peer.spec.gateways or peer.spec.dial == "inbound":
            found[cluster] = tuple(Address(way.host, way.port) for way in peer.spec.dialled)
    return found
