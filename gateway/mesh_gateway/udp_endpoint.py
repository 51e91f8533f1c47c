"""The ingress half's UDP: a stream of datagrams from a peer, joined to one local endpoint.

1. Each flow has a socket of its own, connected to the endpoint, so that nobody else's datagrams come in.
2. What the endpoint or the way to it says by ICMP is counted, and ends nothing: a program behind the port
   may be restarting. A flow ends when it is idle, with its stream, or when its endpoint is none any more.
3. It waits longer than the other half (`Limits.udp_idle` and `udp_unanswered` together), so that by rule the
   other half, which knows whether an answer came, ends an idle flow.
"""

import socket
from collections.abc import Callable, Container, Iterable, Mapping

from mesh_gateway.errors import NoEndpoint
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import Direction, Drop, GatewayMetrics
from mesh_gateway.route import Address
from mesh_gateway.stream import Stream
from mesh_gateway.udp_flow import UdpFlow
from mesh_gateway.udp_socket import AT_ONCE, Room, close, connected, watch
from mesh_gateway.udp_table import FlowTable


class UdpEndpoints:
    """All flows from peers to local endpoints."""

    def __init__(self, limits: Limits, *, metrics: GatewayMetrics) -> None:
        self.limits = limits
        self.metrics = metrics
        self.flows = FlowTable(limits, direction=Direction.FROM_PEER, metrics=metrics)
        self.room = Room()
        self._open: dict[Address, dict[EndpointFlow, None]] = {}

    @property
    def open_flows(self) -> Mapping[Address, int]:
        """Flows to each local endpoint that has any."""
        return {endpoint: len(flows) for endpoint, flows in self._open.items()}

    def join(
        self, stream: Stream, *, endpoint: Address, peer: str, ended: Callable[[], None] | None = None
    ) -> None:
        """Carries datagrams between an accepted stream of the cluster `peer` and an endpoint, an IP address.

        `ended` is called when nothing is left of the stream. Nothing is written to the stream before the
        next turn of the loop. Raises NoEndpoint, and then the stream was not touched.
        """
        try:
            sock = connected(endpoint)
        except OSError as error:
            raise NoEndpoint(f"{endpoint}: {error.strerror or error}") from error
        flow = EndpointFlow(stream, sock=sock, endpoint=endpoint, peer=peer, owner=self, ended=ended)
        self._open.setdefault(endpoint, {})[flow] = None
        self.flows.add(flow)
        watch(sock, flow.readable)
        flow.start()

    def keep(self, endpoints: Container[Address]) -> None:
        """Ends the flows to endpoints that are not among `endpoints`, all that speak UDP: their next
        datagram finds another."""
        for endpoint in [known for known in self._open if known not in endpoints]:
            for flow in tuple(self._open[endpoint]):
                flow.end()

    def close(self) -> None:
        """Ends all flows in good order."""
        self.flows.end()

    def forget(self, flow: "EndpointFlow") -> None:
        """A flow is over."""
        known = self._open[flow.endpoint]
        del known[flow]
        if not known:
            del self._open[flow.endpoint]


class EndpointFlow(UdpFlow):
    """A flow to `endpoint`, by a socket that is connected to it."""

    __slots__ = ("_ended", "_owner", "_socket", "endpoint")

    def __init__(
        self,
        stream: Stream,
        *,
        sock: socket.socket,
        endpoint: Address,
        peer: str,
        owner: UdpEndpoints,
        ended: Callable[[], None] | None,
    ) -> None:
        patience = owner.limits.udp_idle + owner.limits.udp_unanswered
        super().__init__(stream, keeper=owner.flows, group=peer, patience=patience)
        self.endpoint = endpoint
        self._socket = sock
        self._owner = owner
        self._ended = ended

    def deliver(self, datagrams: Iterable[bytes]) -> None:
        for datagram in datagrams:
            # News of an earlier datagram are told once, by an error, and then this one is not sent.
            if not self._sent(datagram):
                self._sent(datagram)

    def readable(self) -> None:
        """Datagrams of the endpoint, or news of its ICMP, wait to be read."""
        receive, room = self._socket.recv_into, self._owner.room
        for _ in range(AT_ONCE):
            try:
                size = receive(room.payload)
            except BlockingIOError:
                return
            except OSError:
                self._failed()
                continue
            if (frame := room.frame(size)) is None:
                self._owner.metrics.datagram_dropped(Drop.TOO_LONG)
                continue
            self.send(frame)
            if self.is_over:
                return

    def let_go(self, *, cleanly: bool) -> None:
        close(self._socket)
        self._owner.forget(self)

    def close(self) -> None:
        if self._ended is not None:
            self._ended()

    def _sent(self, datagram: bytes) -> bool:
        """False when it is worth another try."""
        try:
            self._socket.send(datagram)
        except BlockingIOError:
            self._owner.metrics.datagram_dropped(Drop.UNSENT)
        except OSError:
            self._failed()
            return False
        return True

    def _failed(self) -> None:
        """A datagram did not reach the endpoint, this one or an earlier one."""
        self._owner.metrics.datagram_dropped(Drop.UNSENT)
        watch(self._socket, self.readable)
