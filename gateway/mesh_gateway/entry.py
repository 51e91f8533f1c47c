"""What a connection on the peers' port is for, by its ClientHello: decided before a byte is sent.

| server name | ALPN | answer |
|---|---|---|
| `<port>.[<own id>.]<service>.<namespace>.svc.clusterset.local` | any | TLS ends here; one endpoint |
| `<port>.<endpoint>.<own id>.<service>.<namespace>.svc.clusterset.local` | any | the same; that endpoint |
| `peer.<own id>.<domain>` | has `meshctl-peer/1` | passed through untouched to the controller |
| `join.<own id>.<domain>` | has `meshctl-join/1` | passed through to the controller's door for newcomers |
| `gateway.<own id>.<domain>` | has `meshctl-tunnel/1` | TLS ends here; a tunnel |
| a public name of an exported service | none of ours | passed through untouched to one endpoint |
| anything else | any | closed |

Nobody is authorized for a public name: no certificate is seen here, and who may come is decided where that
TLS ends (ruling 3). What version of TLS it speaks is the application's affair as well.

Whoever comes with an invitation has no certificate either. Whether one is open the gateway does not know: if
none is, nobody listens at the controller, and the connection is closed as if there were no such door.
"""

from dataclasses import dataclass

from mesh_core.names import ALPN_JOIN, ALPN_PEER, ALPN_TUNNEL
from mesh_gateway.client_hello import Hello
from mesh_gateway.metrics import Unsaid
from mesh_gateway.opening import Reason
from mesh_gateway.route import Address, Ingress, RouteTable, ServicePort
from mesh_gateway.sni import (
    ApiServerTarget,
    GatewayTarget,
    JoinTarget,
    NoTarget,
    PeerTarget,
    ServiceTarget,
    read_server_name,
)

_OURS = b"meshctl"


@dataclass(frozen=True, slots=True)
class Serve:
    """TLS ends here, with a certificate demanded; whether its owner is served, `admission` says."""

    target: ServicePort
    route: Ingress


@dataclass(frozen=True, slots=True)
class PassThrough:
    """The bytes go to one of `endpoints`, at least one, as they are; TLS ends there.

    `public`: to an application of the service `owner`, for whoever comes; otherwise to our controller, with
    `stranger` at its door for newcomers.
    """

    endpoints: tuple[Address, ...]
    public: bool = False
    owner: str = ""
    stranger: bool = False


@dataclass(frozen=True, slots=True)
class Tunnel:
    """TLS ends here, with a certificate demanded of a gateway; then frames."""


@dataclass(frozen=True, slots=True)
class Close:
    """Nothing for us; `reason` is one of a few sentences, for the log, and `counted` for the metrics."""

    reason: str
    counted: Reason | Unsaid = Unsaid.BAD_HELLO


Entry = Serve | PassThrough | Tunnel | Close


def entry_for(hello: Hello, *, table: RouteTable) -> Entry:
    """What to do with a connection that begins with `hello`."""
    if hello.server_name is None:
        return Close("no server name")
    application = table.public.get(hello.server_name.lower())
    if application is not None:
        return _application(hello, route=application)
    if not hello.offers_tls13:
        return Close("no TLS 1.3 offered")
    match read_server_name(hello.server_name, domain=table.domain):
        case ServiceTarget() as asked:
            return _serve(asked, table=table)
        case PeerTarget(cluster=cluster):
            return _pass_through(hello, cluster=cluster, table=table)
        case JoinTarget(cluster=cluster):
            return _join(hello, cluster=cluster, table=table)
        case GatewayTarget(cluster=cluster):
            return _tunnel(hello, cluster=cluster, table=table)
        case ApiServerTarget():
            # Never by a port that peers or strangers can dial, whose API server it may be (ruling 18).
            return Close("an API server by the peers' port")
        case NoTarget(reason=reason):
            return Close(reason)


def _serve(asked: ServiceTarget, *, table: RouteTable) -> Serve | Close:
    if asked.cluster not in (None, table.cluster):
        return Close("a service in another cluster")
    target = ServicePort(asked.namespace, asked.service, asked.port, endpoint=asked.endpoint)
    route = table.ingress.get(target)
    if route is None:
        what = "an endpoint that is not there or not ready" if asked.endpoint else "no ready endpoint"
        return Close(f"a service that is not exported, or {what}", counted=Reason.NOT_EXPORTED)
    return Serve(target=target, route=route)


def _application(hello: Hello, *, route: Ingress) -> PassThrough | Close:
    # Who speaks a protocol of ours has lost his way: an application would not understand him.
    if any(protocol.startswith(_OURS) for protocol in hello.protocols):
        return Close("a protocol of ours with a public name")
    return PassThrough(endpoints=route.endpoints, public=True, owner=route.owner)


def _tunnel(hello: Hello, *, cluster: str, table: RouteTable) -> Tunnel | Close:
    if cluster != table.cluster:
        return Close("the gateway of another cluster")
    if ALPN_TUNNEL.encode() not in hello.protocols:
        return Close("the gateway without its protocol")
    return Tunnel()


def _pass_through(hello: Hello, *, cluster: str, table: RouteTable) -> PassThrough | Close:
    if cluster != table.cluster:
        return Close("the controller of another cluster")
    if ALPN_PEER.encode() not in hello.protocols:
        return Close("the controller without its protocol")
    if not table.controllers:
        return Close("no ready controller", counted=Reason.NO_ENDPOINT)
    return PassThrough(endpoints=table.controllers)


def _join(hello: Hello, *, cluster: str, table: RouteTable) -> PassThrough | Close:
    if cluster != table.cluster:
        return Close("the door for newcomers of another cluster")
    if ALPN_JOIN.encode() not in hello.protocols:
        return Close("the door for newcomers without its protocol")
    if not table.joins:
        return Close("no ready controller", counted=Reason.NO_ENDPOINT)
    return PassThrough(endpoints=table.joins, stranger=True)
