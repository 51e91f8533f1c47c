"""The ingress half: takes what peers send on the one port, and brings it to a local endpoint.

1. Until the ClientHello is read and has a route, not a byte is sent; without a route never.
2. One of several contexts is chosen then, never switched later (ruling 3). After the handshake the
   certificate must be that of a gateway or a client of our clusterset, of a cluster that we are linked with
   (or our own), and one that the export allows, or the connection is closed and nobody behind us hears of it.
3. An endpoint that does not take the connection is replaced by another: nothing was delivered yet.
4. A connection that asks for a tunnel becomes one; what its streams ask for is `tunnel_ingress`'s.
5. Those who have not proved who they are share `Limits.handshakes` places; when these are full the one
   that has waited longest is closed, so that slow strangers cannot keep members out. A place of a stream is
   taken by who asks for one, before the handshake: who gets none may still go elsewhere.
6. Whoever asks for the door for newcomers is never asked who he is here, so each source address, and all
   together, may do so only so often.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from enum import Enum
from functools import partial
from typing import Protocol

from mesh_core.identity import ClusterId, Component, Expected
from mesh_core.token_bucket import TokenBuckets
from mesh_gateway.admission import Denied, admit
from mesh_gateway.client_hello import Refused
from mesh_gateway.contexts import Contexts
from mesh_gateway.dial import Dialler
from mesh_gateway.doorway import Doorway, attended
from mesh_gateway.entry import Close, PassThrough, Serve, Tunnel, entry_for
from mesh_gateway.errors import HandshakeFailed, NoEndpoint
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import Direction, GatewayMetrics, Unsaid
from mesh_gateway.opening import Reason
from mesh_gateway.places import AT_DOOR, INWARD, PASSED, Claim, Share
from mesh_gateway.proxy_header import proxy_header
from mesh_gateway.refusals import Refusals, reason_of
from mesh_gateway.route import Address, RouteTable
from mesh_gateway.route import Ingress as RouteTo
from mesh_gateway.tcp_stream import TcpStream
from mesh_gateway.tls_stream import TlsStream
from mesh_gateway.traffic import Traffic
from mesh_gateway.tunnel_life import Shown, shown_in
from mesh_runtime.clock import utc_now
from mesh_runtime.log import logger
from mesh_runtime.tls import Believed, PeerRefused, verify_peer

_log = logger(__name__)

_FULL = {
    Share.INGRESS: "too many connections",
    Share.PUBLIC: "too many connections for one more to a public name",
    Share.PASSED: "too many connections to the controller",
}

# Connections to the door for newcomers; whoever comes in makes two.
_JOIN_RATE, _JOIN_BURST = 2.0, 10
_JOIN_TOTAL_RATE, _JOIN_TOTAL_BURST = 5.0, 20

_MEMBERS = frozenset({Component.GATEWAY, Component.CLIENT})


class Tunnels(Protocol):
    """Who takes tunnels that peers dialled (`tunnels.TunnelPool`)."""

    def adopt(
        self, stream: TlsStream, *, cluster: ClusterId, believed: Believed, shown: Shown, refusal: str
    ) -> object | None:
        """Takes charge of it; None, and closed, when the cluster has enough. Its certificate is good for so
        many seconds; with `refusal` it gets no tunnel, and hears why."""


class _End(Enum):
    """What becomes of a connection at the door, and of its place."""

    CLOSED = "closed"
    JOINED = "joined"  # it keeps its place until both halves are gone
    KEPT = "kept"  # as a tunnel, which has places of its own kind


class IngressHalf:
    """Answers the peers' port. `table` and `contexts` give those of the moment, None before the first."""

    def __init__(
        self,
        *,
        table: Callable[[], RouteTable | None],
        contexts: Callable[[], Contexts | None],
        tunnels: Tunnels,
        dialler: Dialler,
        traffic: Traffic,
        limits: Limits,
        metrics: GatewayMetrics,
        group: asyncio.TaskGroup,
    ) -> None:
        self._table = table
        self._contexts = contexts
        self._traffic = traffic
        self._limits = limits
        self._group = group
        self._tunnels = tunnels
        self._dialler = dialler
        self._metrics = metrics
        self._strangers: dict[Doorway, None] = {}  # in the order in which they came
        self._refusals = Refusals("ingress", metrics=metrics)
        self._joins = TokenBuckets(
            rate=_JOIN_RATE,
            burst=_JOIN_BURST,
            total_rate=_JOIN_TOTAL_RATE,
            total_burst=_JOIN_TOTAL_BURST,
        )

    def accept(self, door: Doorway) -> None:
        """Takes a connection that came to the peers' port."""
        self._traffic.admit(AT_DOOR)
        if len(self._strangers) >= self._limits.handshakes:
            self._refusals.note("crowded out by newer connections", reason=Reason.OVERLOAD)
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.close()
        self._strangers[door] = None
        if not attended(door, self._attend(door), group=self._group):
            del self._strangers[door]
            self._traffic.release(AT_DOOR)

    async def _attend(self, door: Doorway) -> None:
        end = _End.CLOSED
        try:
            end = await self._receive(door)
        except TimeoutError as error:
            self._refusals.note("too slow with its hello or handshake", reason=reason_of(error))
        except (HandshakeFailed, PeerRefused, NoEndpoint) as error:
            self._refusals.note(error.what, reason=reason_of(error))
        except Exception as error:
            # A defect met by one connection must not end the others, whose task group this is.
            _log.error("connection dropped by a defect", error=error)
        finally:
            self._strangers.pop(door, None)
            if end is _End.CLOSED:
                door.close()
            self._traffic.release(AT_DOOR)

    async def _receive(self, door: Doorway) -> "_End":
        """What became of the connection; what it raises is for the log."""
        async with asyncio.timeout(self._limits.hello):
            hello = await door.hello()
        if isinstance(hello, Refused):
            # Who says nothing at all only asks whether we are there: a peer's prober, or a balancer.
            if door.received:
                self._refusals.note(hello.reason, reason=Unsaid.BAD_HELLO)
            return _End.CLOSED
        table, contexts = self._table(), self._contexts()
        if table is None:
            self._refusals.note("no routes yet", reason=Unsaid.NO_ROUTES)
            return _End.CLOSED
        match entry_for(hello, table=table):
            case PassThrough() as entry:
                claim = Claim(Share.PUBLIC, entry.owner) if entry.public else PASSED
                return await self._in_place(claim, work=partial(self._pass_through, door, entry, claim=claim))
            case Close(reason=reason, counted=counted):
                self._refusals.note(reason, reason=counted)
            case _ if contexts is None:
                self._refusals.note("we have no certificate to show", reason=Unsaid.NO_CERTIFICATE)
            case Serve() as entry:
                work = partial(self._serve, door, entry, table=table, contexts=contexts)
                return await self._in_place(INWARD, work=work)
            case Tunnel():
                return await self._become_tunnel(door, contexts=contexts)
        return _End.CLOSED

    async def _in_place(self, claim: Claim, *, work: Callable[[], Awaitable["_End"]]) -> "_End":
        """Does it in a place of a stream, which is kept if both halves were joined."""
        if not self._traffic.admit(claim):
            self._refusals.note(_FULL[claim.share], reason=Reason.OVERLOAD)
            return _End.CLOSED
        end = _End.CLOSED
        try:
            end = await work()
        finally:
            if end is not _End.JOINED:
                self._traffic.release(claim)
        return end

    async def _serve(self, door: Doorway, entry: Serve, *, table: RouteTable, contexts: Contexts) -> "_End":
        stream = await self._shake_hands(door, contexts.server)
        stream.believed = verify_peer(
            stream.tls_object,
            expected=Expected(domain=contexts.domain, components=_MEMBERS),
            trust=contexts.trust,
        )
        caller = stream.believed.identity
        # Another issuer can let in somebody of our own name; who shares our pool, our own issuer let in.
        is_ours = caller.cluster == table.cluster and caller.pool == contexts.pool
        if not is_ours and (caller.cluster == table.cluster or caller.cluster not in table.gateways):
            self._refusals.note(_unlinked(caller.cluster), reason=Reason.NOT_ALLOWED)
            return _End.CLOSED
        # The policy that holds is that of the hello: the route was chosen then.
        route = admit(entry.target, caller=caller.cluster, source=None, table=table, passed=False)
        if isinstance(route, Denied):
            self._refusals.note(route.why, reason=route.reason)
            return _End.CLOSED
        self._strangers.pop(door, None)
        dialled = await self._dialler.dial(route, client=caller.cluster)
        if route.proxy_protocol:
            header = proxy_header(
                None,
                cluster=caller.cluster,
                gateway=Address(*dialled.stream.own),
                endpoint=dialled.endpoint,
                neighbour=None,
            )
            dialled.stream.write(header)
        peer = caller.cluster
        self._metrics.stream_opened(peer, direction=Direction.FROM_PEER)

        def over(cleanly: bool) -> None:
            self._metrics.stream_ended(
                peer, direction=Direction.FROM_PEER, sent=stream.sent, received=stream.came, cleanly=cleanly
            )

        self._traffic.join(stream, dialled.stream, endpoint=dialled.endpoint, peer=peer, over=over)
        return _End.JOINED

    async def _become_tunnel(self, door: Doorway, *, contexts: Contexts) -> "_End":
        stream = await self._shake_hands(door, contexts.tunnel_server)
        expected = Expected(domain=contexts.domain, components=frozenset({Component.GATEWAY}))
        believed = verify_peer(stream.tls_object, expected=expected, trust=contexts.trust)
        caller = believed.identity
        # The table of now: whoever is unlinked meanwhile would not be closed with the others.
        table = self._table()
        is_linked = table is not None and caller.cluster in table.gateways and caller.cluster != table.cluster
        refusal = "" if is_linked else _unlinked(caller.cluster)
        if refusal:
            self._refusals.note(refusal, reason=Reason.NOT_ALLOWED)
        shown = shown_in(stream.tls_object, now=utc_now())
        taken = self._tunnels.adopt(
            stream, cluster=caller.cluster, believed=believed, shown=shown, refusal=refusal
        )
        if taken is None and is_linked:
            self._refusals.note(f"cluster {caller.cluster} has enough tunnels", reason=Reason.OVERLOAD)
        return _End.KEPT

    async def _shake_hands(self, door: Doorway, context: ssl.SSLContext) -> TlsStream:
        stream = TlsStream(context, server_name=None)
        stream.take_over(door.transport, received=bytes(door.received))
        async with asyncio.timeout(self._limits.handshake):
            await stream.handshake()
        return stream

    async def _pass_through(self, door: Doorway, entry: PassThrough, *, claim: Claim) -> "_End":
        now = asyncio.get_running_loop().time()
        if entry.stranger and not self._joins.take(door.host, now=now):
            self._refusals.note("too many ask for the door for newcomers", reason=Reason.OVERLOAD)
            return _End.CLOSED
        dialled = await self._dialler.dial(RouteTo(entry.endpoints), client="")
        stream = TcpStream()
        stream.adopt(door.transport)
        self._traffic.pass_through(
            stream, dialled.stream, first=bytes(door.received), endpoint=dialled.endpoint, claim=claim
        )
        return _End.JOINED


def _unlinked(cluster: ClusterId) -> str:
    return f"there is no MeshPeer for cluster {cluster} here"
