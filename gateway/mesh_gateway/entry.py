"""What a connection on the peers' port is for, by its ClientHello: decided before a byte is sent.

| server name | ALPN | answer |
|---|---|---|
| `<port>.[<own id>.]<service>.<namespace>.svc.clusterset.local` | any | TLS ends here; one endpoint |
| `<port>.<endpoint>.<own id>.<service>.<namespace>.svc.clusterset.local` | any | the same; that endpoint |
| `peer.<own id>.<domain>` | has `meshctl-peer/1` | passed through untouched to the controller |
| anything else | any | closed |
"""

from dataclasses import dataclass

from mesh_core.identity import ClusterId
from mesh_core.names import ALPN_PEER
from mesh_gateway.client_hello import Hello
from mesh_gateway.route import Address, Ingress, RouteTable, ServicePort
from mesh_gateway.sni import NoTarget, PeerTarget, ServiceTarget, read_server_name


@dataclass(frozen=True, slots=True)
class Serve:
    """TLS ends here, with a certificate demanded of a cluster that `admits`; then one endpoint of `route`."""

    target: ServicePort
    route: Ingress

    def admits(self, cluster: ClusterId) -> bool:
        """Whether a caller whose certificate is of `cluster` may be served."""
        return self.route.allow is None or cluster in self.route.allow


@dataclass(frozen=True, slots=True)
class PassThrough:
    """The bytes go to one of `endpoints`, at least one, as they are; TLS ends there."""

    endpoints: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Close:
    """Nothing for us; `reason` is one of a few sentences, for the log."""

    reason: str


Entry = Serve | PassThrough | Close


def entry_for(hello: Hello, *, table: RouteTable) -> Entry:
    """What to do with a connection that begins with `hello`."""
    if not hello.offers_tls13:
        return Close("no TLS 1.3 offered")
    if hello.server_name is None:
        return Close("no server name")
    match read_server_name(hello.server_name, domain=table.domain):
        case ServiceTarget() as asked:
            return _serve(asked, table=table)
        case PeerTarget(cluster=cluster):
            return _pass_through(hello, cluster=cluster, table=table)
        case NoTarget(reason=reason):
            return Close(reason)


def _serve(asked: ServiceTarget, *, table: RouteTable) -> Serve | Close:
    if asked.cluster not in (None, table.cluster):
        return Close("a service in another cluster")
    target = ServicePort(asked.namespace, asked.service, asked.port, endpoint=asked.endpoint)
    route = table.ingress.get(target)
    if route is None:
        what = "an endpoint that is not there or not ready" if asked.endpoint else "no ready endpoint"
        return Close(f"a service that is not exported, or {what}")
    return Serve(target=target, route=route)


def _pass_through(hello: Hello, *, cluster: str, table: RouteTable) -> PassThrough | Close:
    if cluster != table.cluster:
        return Close("the controller of another cluster")
    if ALPN_PEER.encode() not in hello.protocols:
        return Close("the controller without its protocol")
    if not table.controllers:
        return Close("no ready controller")
    return PassThrough(endpoints=table.controllers)
