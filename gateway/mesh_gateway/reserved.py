"""Targets that are no service: who may ask for them, on the inside and at the far end (ruling 18).

| reserved | component that may ask | leads to |
|---|---|---|
| `peer` | `controller` | the controllers' stream of the other cluster, whose own TLS goes on inside |
| `kube-apiserver` | `access` | the API server of the other cluster, if that one consents; its own TLS too |

A program of this cluster asks at the inner door, with a certificate and a server name:

    peer.<cluster id>.<clusterset domain>              that cluster's controller
    kube-apiserver.<cluster id>.<clusterset domain>    that cluster's API server

1. What is not in the table is refused, on both sides, whoever asks: no service can be had in this way.
2. On the inside the certificate must be of this very cluster and of the component in the table; the opening
   message says it on, and the far end looks again.
3. The far end believes the component because the tunnel's other end is a gateway of that member, and so no
   further than that member is trusted; what is reached authenticates its caller itself.
4. Consent is given to one member at a time: `spec.access` of its MeshPeer. Where the API server is, this
   gateway's own environment says, and no object that anybody writes.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mesh_core.identity import ClusterId, Component
from mesh_core.names import ALPN_INNER, RESERVED_API_SERVER, RESERVED_PEER
from mesh_gateway.admission import Denied
from mesh_gateway.client_hello import Hello
from mesh_gateway.opening import Opening, Reason
from mesh_gateway.places import Claim, Share
from mesh_gateway.route import Ingress, RouteTable
from mesh_gateway.sni import ApiServerTarget, PeerTarget, read_server_name

PEER = RESERVED_PEER
API_SERVER = RESERVED_API_SERVER


@dataclass(frozen=True, slots=True)
class Inner:
    """A connection at the inner door: which `reserved` target of which `cluster` it is for, and who may."""

    cluster: ClusterId
    reserved: str
    component: Component


@dataclass(frozen=True, slots=True)
class NotInner:
    """Nothing for the inner door; `reason` is one of a few sentences, for the log."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Reserved:
    """Who may ask, what a stream to it takes a place of, and where it leads for a linked cluster."""

    component: Component
    share: Share
    route: Callable[[ClusterId, RouteTable], Ingress | Denied]


def inner_target(hello: Hello, *, table: RouteTable) -> Inner | NotInner:
    """What a connection on the inner port is for, by its ClientHello."""
    if not hello.offers_tls13:
        return NotInner("no TLS 1.3 offered")
    if ALPN_INNER.encode() not in hello.protocols:
        return NotInner("the inner door without its protocol")
    match read_server_name(hello.server_name or "", domain=table.domain):
        case PeerTarget(cluster=cluster):
            return _inner(PEER, cluster=cluster, table=table)
        case ApiServerTarget(cluster=cluster):
            return _inner(API_SERVER, cluster=cluster, table=table)
        case _:
            return NotInner("no reserved target")


def reserved_route(opening: Opening, *, cluster: ClusterId, table: RouteTable) -> Ingress | Denied:
    """Where an opening that has `reserved` leads, and came by a tunnel with `cluster`."""
    reserved = _TARGETS.get(opening.reserved)
    if reserved is None or opening.protocol != "TCP":
        return Denied(Reason.UNSUPPORTED, "there is no such reserved target")
    if opening.namespace or opening.service or opening.port or opening.endpoint:
        return Denied(Reason.BAD_OPENING, "a reserved target and a service at once")
    if opening.component != reserved.component.value:
        why = f"the target {opening.reserved} is for component {reserved.component.value} only"
        return Denied(Reason.NOT_ALLOWED, why)
    if cluster not in table.gateways:
        return Denied(Reason.NOT_ALLOWED, "there is no MeshPeer for the cluster that asks")
    return reserved.route(cluster, table)


def reserved_claim(opening: Opening, *, cluster: ClusterId) -> Claim:
    """To a place for a stream that `reserved_route` found a way for."""
    return Claim(_TARGETS[opening.reserved].share, cluster)


def _inner(reserved: str, *, cluster: str, table: RouteTable) -> Inner | NotInner:
    if cluster == table.cluster:
        return NotInner("a reserved target of our own cluster by the inner door")
    return Inner(ClusterId(cluster), reserved, _TARGETS[reserved].component)


def _to_controller(_cluster: ClusterId, table: RouteTable) -> Ingress | Denied:
    if not table.controllers:
        return Denied(Reason.NO_ENDPOINT, "no controller is ready")
    return Ingress(endpoints=table.controllers)


def _to_api_server(cluster: ClusterId, table: RouteTable) -> Ingress | Denied:
    if API_SERVER not in table.consents.get(cluster, ()):
        why = f"spec.access of MeshPeer {cluster} does not have {API_SERVER} here"
        return Denied(Reason.NOT_ALLOWED, why)
    if not table.api_server:
        return Denied(Reason.NO_ENDPOINT, "this gateway was not told where its API server is")
    return Ingress(endpoints=table.api_server)


_TARGETS = {
    PEER: _Reserved(Component.CONTROLLER, Share.RESERVED, _to_controller),
    API_SERVER: _Reserved(Component.ACCESS, Share.API_SERVER, _to_api_server),
}
