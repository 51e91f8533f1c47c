"""The ingress half: takes what peers send on the one port, and brings it to a local endpoint.

1. Until the ClientHello is read and has a route, not a byte is sent; without a route never.
2. One of several contexts is chosen then, never switched later (ruling 3). After the handshake the
   certificate must be that of a gateway or a client of our clusterset, and of a cluster that the export
   allows, or the connection is closed and nobody behind us hears of it.
3. An endpoint that does not take the connection is replaced by another: nothing was delivered yet.
4. Those who have not proved who they are share `Limits.handshakes` places; when these are full the one
   that has waited longest is closed, so that slow strangers cannot keep members out.
"""

import asyncio
from collections.abc import Callable

from mesh_core.identity import Component, Expected
from mesh_gateway.client_hello import Refused
from mesh_gateway.contexts import Contexts
from mesh_gateway.dial import Dialler
from mesh_gateway.doorway import Doorway
from mesh_gateway.entry import Close, PassThrough, Serve, entry_for
from mesh_gateway.errors import HandshakeFailed, NoEndpoint, NotAllowed
from mesh_gateway.limits import Limits
from mesh_gateway.refusals import Refusals
from mesh_gateway.route import RouteTable
from mesh_gateway.tcp_stream import TcpStream
from mesh_gateway.tls_stream import TlsStream
from mesh_gateway.traffic import Traffic
from mesh_runtime.log import logger
from mesh_runtime.tls import PeerRefused, verify_peer

_log = logger(__name__)

_MEMBERS = frozenset({Component.GATEWAY, Component.CLIENT})


class IngressHalf:
    """Answers the peers' port. `table` and `contexts` give those of the moment, None before the first."""

    def __init__(
        self,
        *,
        table: Callable[[], RouteTable | None],
        contexts: Callable[[], Contexts | None],
        traffic: Traffic,
        limits: Limits,
        group: asyncio.TaskGroup,
    ) -> None:
        self._table = table
        self._contexts = contexts
        self._traffic = traffic
        self._limits = limits
        self._group = group
        self._dialler = Dialler(traffic=traffic, limits=limits)
        self._strangers: dict[Doorway, None] = {}  # in the order in which they came
        self._refusals = Refusals("ingress")

    def accept(self, door: Doorway) -> None:
        """Takes a connection that came to the peers' port."""
        if not self._traffic.admit():
            self._refusals.note("too many connections")
            door.close()
            return
        if len(self._strangers) >= self._limits.handshakes:
            self._refusals.note("crowded out by newer connections")
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.close()
        self._strangers[door] = None
        self._group.create_task(self._attend(door))

    async def _attend(self, door: Doorway) -> None:
        joined = False
        try:
            joined = await self._receive(door)
        except TimeoutError:
            self._refusals.note("too slow with its hello or handshake")
        except (HandshakeFailed, PeerRefused, NotAllowed, NoEndpoint) as error:
            self._refusals.note(error.what)
        except Exception as error:
            # A defect met by one connection must not end the others, whose task group this is.
            _log.error("connection dropped by a defect", error=error)
        finally:
            self._strangers.pop(door, None)
            if not joined:
                door.close()
                self._traffic.release()

    async def _receive(self, door: Doorway) -> bool:
        """Whether the connection was joined to an endpoint; what it raises is for the log."""
        async with asyncio.timeout(self._limits.hello):
            hello = await door.hello()
        if isinstance(hello, Refused):
            # Who says nothing at all only asks whether we are there: a peer's prober, or a balancer.
            if door.received:
                self._refusals.note(hello.reason)
            return False
        table = self._table()
        if table is None:
            self._refusals.note("no routes yet")
            return False
        match entry_for(hello, table=table):
            case Serve() as entry:
                return await self._serve(door, entry)
            case PassThrough() as entry:
                return await self._pass_through(door, entry)
            case Close(reason=reason):
                self._refusals.note(reason)
                return False

    async def _serve(self, door: Doorway, entry: Serve) -> bool:
        contexts = self._contexts()
        if contexts is None:
            self._refusals.note("we have no certificate to show")
            return False
        stream = TlsStream(contexts.server, server_name=None)
        stream.take_over(door.transport, received=bytes(door.received))
        async with asyncio.timeout(self._limits.handshake):
            await stream.handshake()
        expected = Expected(domain=contexts.domain, components=_MEMBERS)
        caller = verify_peer(stream.tls_object, expected=expected)
        if not entry.admits(caller.cluster):
            # Without the port or endpoint: the log counts refusals by their reason, and keeps few of them.
            service = f"{entry.target.namespace}/{entry.target.service}"
            raise NotAllowed(cluster=caller.cluster, service=service)
        self._strangers.pop(door, None)
        dialled = await self._dialler.dial(entry.route.endpoints)
        self._traffic.join(stream, dialled.stream, endpoint=dialled.endpoint)
        return True

    async def _pass_through(self, door: Doorway, entry: PassThrough) -> bool:
        carried = sum(self._traffic.open_streams.get(endpoint, 0) for endpoint in entry.endpoints)
        if carried >= self._limits.passed_through:
            self._refusals.note("too many connections to the controller")
            return False
        dialled = await self._dialler.dial(entry.endpoints)
        stream = TcpStream()
        stream.adopt(door.transport)
        dialled.stream.write(bytes(door.received))
        self._traffic.join(stream, dialled.stream, endpoint=dialled.endpoint)
        return True
