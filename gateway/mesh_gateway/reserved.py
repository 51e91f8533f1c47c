"""Targets that are no service: who may ask for them, on the inside and at the far end (ruling 18).

| reserved | component that may ask | leads to |
|---|---|---|
| `peer` | `controller` | the controllers' stream of the other cluster, whose own TLS goes on inside |

A program of this cluster asks at the inner door, with a certificate and a server name:

    peer.<cluster id>.<clusterset domain>      that cluster's controller

1. What is not in the table is refused, on both sides, whoever asks: no service can be had in this way.
2. On the inside the certificate must be of this very cluster and of the component in the table; the opening
   message says it on, and the far end looks again.
3. The far end believes the component because the tunnel's other end is a gateway of that member, and so no
   further than that member is trusted; what is reached authenticates its caller itself.
"""

from dataclasses import dataclass

from mesh_core.identity import ClusterId, Component
from mesh_core.names import ALPN_INNER
from mesh_gateway.admission import Denied
from mesh_gateway.client_hello import Hello
from mesh_gateway.opening import Opening, Reason
from mesh_gateway.route import Ingress, RouteTable
from mesh_gateway.sni import PeerTarget, read_server_name

PEER = "peer"

_ASKED_BY = {PEER: Component.CONTROLLER}


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


def inner_target(hello: Hello, *, table: RouteTable) -> Inner | NotInner:
    """What a connection on the inner port is for, by its ClientHello."""
    if not hello.offers_tls13:
        return NotInner("no TLS 1.3 offered")
    if ALPN_INNER.encode() not in hello.protocols:
        return NotInner("the inner door without its protocol")
    match read_server_name(hello.server_name or "", domain=table.domain):
        case PeerTarget(cluster=cluster) if cluster == table.cluster:
            return NotInner("our own controller by the inner door")
        case PeerTarget(cluster=cluster):
            return Inner(ClusterId(cluster), PEER, _ASKED_BY[PEER])
        case _:
            return NotInner("no reserved target")


def reserved_route(opening: Opening, *, linked: bool, table: RouteTable) -> Ingress | Denied:
    """Where an opening that came by a tunnel and has `reserved` leads; `linked`: we have its cluster's
    MeshPeer."""
    component = _ASKED_BY.get(opening.reserved)
    if component is None or opening.protocol != "TCP":
        return Denied(Reason.UNSUPPORTED, "there is no such reserved target")
    if opening.namespace or opening.service or opening.port or opening.endpoint:
        return Denied(Reason.BAD_OPENING, "a reserved target and a service at once")
    if opening.component != component.value:
        return Denied(Reason.NOT_ALLOWED, f"the target {opening.reserved} is for a {component.value} only")
    if not linked:
        return Denied(Reason.NOT_ALLOWED, "there is no MeshPeer for the cluster that asks")
    if not table.controllers:
        return Denied(Reason.NO_ENDPOINT, "no controller is ready")
    return Ingress(endpoints=table.controllers)
