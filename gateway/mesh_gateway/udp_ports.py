"""The egress half's UDP ports: datagrams of local pods into a stream for each flow, and answers back.

1. A flow is a local port and a client's address. The first datagram of one asks `opened` for a stream; an
   answer leaves from the very socket that the flow's datagrams come to, so that conntrack knows it.
2. A flow whose stream was refused or broke is asked for again after `REST`, and none more often than that.
   Meanwhile its datagrams are dropped: UDP has no other way to say so.
3. A port that cannot be bound does not keep the others from being opened; it is tried again by the next
   `match`, and logged once. Closing a port ends its flows in good order.
4. Workers share a port by SO_REUSEPORT: the kernel keeps a flow with one of them as long as they all live,
   and whoever gets it after that opens it anew.
"""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from mesh_gateway.limits import Limits
from mesh_gateway.metrics import Direction, Drop, GatewayMetrics
from mesh_gateway.route import Address
from mesh_gateway.stream import Stream
from mesh_gateway.udp_flow import UdpFlow
from mesh_gateway.udp_socket import AT_ONCE, Room, bound, close, watch
from mesh_gateway.udp_table import FlowTable
from mesh_runtime.log import logger

_log = logger(__name__)

REST = 1.0
"""Seconds from the end of a flow that was refused or broke, or from the beginning of any, to the next try."""

# Ports that are opened before the loop gets its turn.
_PORTS_AT_ONCE = 50

# What the kernel gives as an address: two values for IPv4, four for IPv6.
_Client = tuple[Any, ...]


class UdpPorts:
    """Sockets on one address, by port.

    `opened` gets the local port and the client of a new flow, and gives a stream on which datagrams may be
    sent, or None to refuse it; it is not called again for this flow within `REST`. `ended`, if given, gets
    the client's address again when nothing is left of such a stream.
    """

    def __init__(
        self,
        host: str,
        *,
        opened: Callable[[int, Address], Stream | None],
        limits: Limits,
        metrics: GatewayMetrics,
        ended: Callable[[Address], None] | None = None,
        reuse_port: bool = False,
    ) -> None:
        self.host = host
        self.opened = opened
        self.ended = ended
        self.metrics = metrics
        self.limits = limits
        self.flows = FlowTable(limits, direction=Direction.TO_PEER, metrics=metrics)
        self.resting = Resting(most=limits.udp_flows)
        self.room = Room()
        self._reuse_port = reuse_port
        self._ports: dict[int, UdpPort] = {}
        self._failing: set[int] = set()

    @property
    def ports(self) -> frozenset[int]:
        """The ports that are listened to."""
        return frozenset(self._ports)

    @property
    def failing(self) -> frozenset[int]:
        """The ports of the last `match` that could not be bound."""
        return frozenset(self._failing)

    async def match(self, wanted: Iterable[int]) -> None:
        """Listens to the ports in `wanted`, and to no others."""
        ports = sorted(wanted)
        for number in sorted(self._ports.keys() - set(ports)):
            self._ports.pop(number).close()
        self._failing &= set(ports)
        missing = [number for number in ports if number not in self._ports]
        for count, number in enumerate(missing, start=1):
            self._open(number)
            if count % _PORTS_AT_ONCE == 0:
                await asyncio.sleep(0)

    def close(self) -> None:
        """Listens to nothing any more, and ends all flows in good order."""
        for port in self._ports.values():
            port.close()
        self._ports.clear()

    def is_ours(self, client: _Client) -> bool:
        """Whether an address is that of one of our own ports: a datagram from there would go in circles."""
        return client[1] in self._ports and client[0] == self.host

    def _open(self, number: int) -> None:
        try:
            sock = bound(Address(self.host, number), reuse_port=self._reuse_port)
        except OSError as error:
            if number not in self._failing:
                _log.error("port cannot be listened to; trying again", port=number, udp=True, why=str(error))
            self._failing.add(number)
        else:
            self._failing.discard(number)
            self._ports[number] = UdpPort(sock, number=number, owner=self)


class UdpPort:
    """One socket and its flows."""

    __slots__ = ("_owner", "flows", "number", "socket")

    def __init__(self, sock: socket.socket, *, number: int, owner: UdpPorts) -> None:
        self.socket = sock
        self.number = number
        self.flows: dict[_Client, ClientFlow] = {}
        self._owner = owner
        watch(sock, self._readable)

    def close(self) -> None:
        """Ends the flows, then closes the socket."""
        for flow in tuple(self.flows.values()):
            flow.end()
        close(self.socket)

    def _readable(self) -> None:
        receive, flows, room = self.socket.recvfrom_into, self.flows, self._owner.room
        for _ in range(AT_ONCE):
            try:
                size, client = receive(room.payload)
            except BlockingIOError:
                return
            except OSError:
                watch(self.socket, self._readable)
                return
            if (frame := room.frame(size)) is None:
                self._owner.metrics.datagram_dropped(Drop.TOO_LONG)
                continue
            flow = flows.get(client)
            if flow is not None:
                flow.send(frame)
            else:
                self._first(client, frame)

    def _first(self, client: _Client, frame: bytes) -> None:
        owner = self._owner
        now = asyncio.get_running_loop().time()
        if owner.resting.holds((self.number, client), now=now) or owner.is_ours(client):
            owner.metrics.datagram_dropped(Drop.REFUSED)
            return
        stream = owner.opened(self.number, Address(client[0], client[1]))
        if stream is None:
            owner.resting.rest((self.number, client), until=now + REST, now=now)
            owner.metrics.datagram_dropped(Drop.REFUSED)
            return
        flow = self.flows[client] = ClientFlow(stream, client=client, port=self, owner=owner, now=now)
        owner.flows.add(flow)
        flow.start()
        flow.send(frame)


class ClientFlow(UdpFlow):
    """A flow of a local client, which gets its answers from the socket of `port`."""

    __slots__ = ("_began", "_client", "_owner", "_port")

    def __init__(
        self, stream: Stream, *, client: _Client, port: UdpPort, owner: UdpPorts, now: float
    ) -> None:
        super().__init__(stream, keeper=owner.flows, group=client[0], patience=owner.limits.udp_unanswered)
        self._client = client
        self._port = port
        self._owner = owner
        self._began = now

    def deliver(self, datagrams: Iterable[bytes]) -> None:
        self.patience = self._owner.limits.udp_idle
        send, client = self._port.socket.sendto, self._client
        for datagram in datagrams:
            try:
                send(datagram, client)
            except OSError:
                self._owner.metrics.datagram_dropped(Drop.UNSENT)

    def let_go(self, *, cleanly: bool) -> None:
        del self._port.flows[self._client]
        now = asyncio.get_running_loop().time()
        # An end in good order may be followed by a new flow, but no stream may be opened for each datagram.
        until = (self._began if cleanly else now) + REST
        self._owner.resting.rest((self._port.number, self._client), until=until, now=now)

    def close(self) -> None:
        if self._owner.ended is not None:
            self._owner.ended(Address(self._client[0], self._client[1]))


class Resting:
    """Flows that must not be opened again yet: at most `most`, the oldest are forgotten first."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._until: OrderedDict[tuple[int, _Client], float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def holds(self, key: tuple[int, _Client], *, now: float) -> bool:
        """Whether the flow `key` (port and client) is still to rest."""
        return self._until.get(key, now) > now

    def rest(self, key: tuple[int, _Client], *, until: float, now: float) -> None:
        """Lets a flow rest until then."""
        resting = self._until
        while resting and (len(resting) >= self._most or next(iter(resting.values())) <= now):
            resting.popitem(last=False)
        if until > now:
            resting[key] = until
            resting.move_to_end(key)
