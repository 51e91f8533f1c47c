"""The table of routes: what each port and each name leads to, computed from objects of this cluster.

1. The same objects give the same table, in whatever order they lie in the caches.
2. Egress: a port leads to what holds the rightful claim on it (`mesh_core.ports`, ruling 5: of two claims
   only the older one is served) and to the clusters whose slices say so, by their ready endpoints.
   A cluster that is withdrawn (endpoints listed, none ready), has no ready endpoint, or has no MeshPeer
   with an address, gets nothing; a port without any such cluster is still listened to.
3. Ingress: a name leads to ready endpoints only while a ServiceExport stands for the service, and only
   to addresses that can be pods: never loopback, link-local, multicast or reserved (ruling 28).
4. A number means a port of the ServiceImport, which is the same number in every cluster; the name of
   that port finds it in the slices.

A table is replaced as a whole; nobody changes one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

import msgspec

from mesh_core.identity import ClusterId, Domain, InvalidName, cluster_id
from mesh_core.names import (
    ANNOTATION_READY_ENDPOINTS,
    LABEL_SERVICE_NAME,
    LABEL_SLICE_MANAGED_BY,
    LABEL_SOURCE_CLUSTER,
    MANAGER,
    PEER_STREAM_PORT_NAME,
)
from mesh_core.objects import EndpointSlice, MeshPeer, ServiceExport, ServiceImport
from mesh_core.ports import Claim, PortTarget, claims_of, rightful_claims
from mesh_gateway.balance import Weighted

Claims = Sequence[tuple[EndpointSlice, tuple[Claim, ...]]]
"""Each slice with the claims in it, none for slices of our own cluster."""

_ready_counts = msgspec.json.Decoder(dict[str, int])


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where to connect: an IP address, or for a peer's gateway also a DNS name, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, order=True)
class ServicePort:
    """One port, by number, of a service of the clusterset."""

    namespace: str
    service: str
    port: int

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service}:{self.port}"


@dataclass(frozen=True, slots=True)
class Egress:
    """What a local port stands for; `targets` are sorted by cluster and may be none."""

    target: ServicePort
    targets: tuple[Weighted, ...]


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


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Everything that decides where a stream goes.

    `egress` by local port, `ingress` by what is asked for, `controllers` the ready addresses of our own
    controller's peer stream, `gateways` those of each peer in order of preference. `contested` are the
    ports that a younger claim does not get, with whom it would have served.
    """

    cluster: ClusterId
    domain: Domain
    egress: Mapping[int, Egress]
    ingress: Mapping[ServicePort, tuple[Address, ...]]
    controllers: tuple[Address, ...]
    gateways: Mapping[ClusterId, tuple[Address, ...]]
    contested: tuple[tuple[int, PortTarget], ...]


def route_table(objects: Objects) -> RouteTable:
    """The table for these objects."""
    numbers = _port_numbers(objects.imports)
    gateways = _gateways(objects.peers)
    claims = [(piece, claims_of(piece, cluster=objects.cluster)) for piece in objects.slices]
    owners = rightful_claims(claim for _, some in claims for claim in some)
    return RouteTable(
        cluster=objects.cluster,
        domain=objects.domain,
        egress=_egress(claims, owners=owners, numbers=numbers, reachable=gateways.keys()),
        ingress=_ingress(objects, numbers=numbers),
        controllers=_named_port(objects.controllers, name=PEER_STREAM_PORT_NAME),
        gateways=gateways,
        contested=_contested(claims, owners=owners),
    )


@lru_cache(maxsize=1 << 16)
def can_be_a_pod(host: str) -> bool:
    """Whether an address may be dialled for somebody else (ruling 28)."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    )


def _port_numbers(imports: Iterable[ServiceImport]) -> dict[PortTarget, int]:
    return {
        PortTarget(item.metadata.namespace, item.metadata.name, port.name): port.port
        for item in imports
        for port in item.spec.ports
        if port.protocol == "TCP"
    }


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


def _egress(
    claims: Claims,
    *,
    owners: Mapping[int, PortTarget],
    numbers: Mapping[PortTarget, int],
    reachable: Iterable[ClusterId],
) -> dict[int, Egress]:
    known: dict[str, ClusterId] = {cluster: cluster for cluster in reachable}
    weights: dict[int, dict[ClusterId, int]] = {}
    for piece, some in claims:
        counts = _counts(piece) if some else {}
        source = known.get(piece.metadata.labels.get(LABEL_SOURCE_CLUSTER, ""))
        for claim in some:
            if owners[claim.port] != claim.target:
                continue
            shares = weights.setdefault(claim.port, {})
            count = counts.get(claim.target.port_name, 0)
            if count > 0 and source is not None:
                # One slice a cluster is the rule; while one replaces another the larger one counts.
                shares[source] = max(shares.get(source, 0), count)
    return {
        port: Egress(
            target=ServicePort(owners[port].namespace, owners[port].service, numbers[owners[port]]),
            targets=tuple(Weighted(cluster, weights[port][cluster]) for cluster in sorted(weights[port])),
        )
        for port in sorted(weights)
        if owners[port] in numbers
    }


def _counts(piece: EndpointSlice) -> dict[str, int]:
    """Ready endpoints by port name; none when the cluster is withdrawn (ruling 8) or the text is bad."""
    endpoints = piece.endpoints or ()
    if endpoints and not any(endpoint.is_ready for endpoint in endpoints):
        return {}
    try:
        return _ready_counts.decode(piece.metadata.annotations.get(ANNOTATION_READY_ENDPOINTS, "{}"))
    except msgspec.MsgspecError:
        return {}


def _ingress(
    objects: Objects, *, numbers: Mapping[PortTarget, int]
) -> dict[ServicePort, tuple[Address, ...]]:
    exported = {item.key for item in objects.exports if item.metadata.deletion_timestamp is None}
    own: dict[tuple[str, str], list[EndpointSlice]] = {}
    for piece in objects.slices:
        labels = piece.metadata.labels
        key = piece.metadata.namespace, labels.get(LABEL_SERVICE_NAME, "")
        is_ours = labels.get(LABEL_SLICE_MANAGED_BY) == MANAGER
        if is_ours and labels.get(LABEL_SOURCE_CLUSTER) == objects.cluster and key in exported:
            own.setdefault(key, []).append(piece)
    return {
        ServicePort(target.namespace, target.service, number): endpoints
        for target, number in sorted(numbers.items())
        if (pieces := own.get((target.namespace, target.service)))
        and (endpoints := _named_port(pieces, name=target.port_name))
    }


def _named_port(pieces: Iterable[EndpointSlice], *, name: str) -> tuple[Address, ...]:
    """The ready addresses behind a TCP port, sorted; IPv6 only when there is no IPv4.

    A pod with both families would count twice otherwise.
    """
    found: dict[str, set[Address]] = {"IPv4": set(), "IPv6": set()}
    for piece in pieces:
        addresses = found.get(piece.address_type)
        if addresses is None:
            continue  # FQDN: deprecated, and not a pod
        for port in piece.ports or ():
            if (port.name or "") != name or port.protocol != "TCP" or port.port is None:
                continue
            addresses.update(
                Address(endpoint.addresses[0], port.port)
                for endpoint in piece.endpoints or ()
                if endpoint.is_ready and endpoint.addresses and can_be_a_pod(endpoint.addresses[0])
            )
    return tuple(sorted(found["IPv4"] or found["IPv6"]))


def _contested(claims: Claims, *, owners: Mapping[int, PortTarget]) -> tuple[tuple[int, PortTarget], ...]:
    losers = {
        (claim.port, claim.target)
        for _, some in claims
        for claim in some
        if owners[claim.port] != claim.target
    }
    return tuple(sorted(losers))
