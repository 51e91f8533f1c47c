"""One client's connection on its way to another cluster, through one tunnel after the other if need be.

1. The first tunnel that is open gets the stream, and the client's bytes go after it at once: a new
   connection costs no round trip of its own.
2. Another gateway, or another cluster, is asked only when nothing can have been delivered (ruling 9): the far
   side refused, or the tunnel was lost before a byte of the client was sent into it. What the client had said
   is kept until then, at most `Limits.early_data` of it. Anything else is a reset. A gateway that stops, or
   has too much to do, speaks for itself; any other refusal is its whole cluster's.
3. A cluster without an open tunnel is asked by a connection of its own, when none with one takes the stream.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from mesh_core.identity import ClusterId
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opening import Answer, BadMessage, Opening, Reason, read_answer
from mesh_gateway.pump import Pump
from mesh_gateway.route import Egress
from mesh_gateway.stream import Stream
from mesh_gateway.tcp_stream import TcpStream
from mesh_gateway.tunnel import Tunnel
from mesh_gateway.waiting import Waiting
from mesh_gateway.yamux import ProtocolError


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client wants: a stream for `opening` by `route`; `client` is its address."""

    route: Egress
    opening: Opening
    message: bytes
    client: str


_OF_ONE_GATEWAY = frozenset({Reason.STOPPING.value, Reason.OVERLOAD.value})


class Carrier(Protocol):
    """The egress half, as far as an attempt needs it."""

    @property
    def early_data(self) -> int:
        """Bytes of a client that are kept at most while nobody has taken it."""

    def tunnel_to(self, cluster: ClusterId, *, without: Collection[Tunnel]) -> Tunnel | None:
        """An open tunnel to the cluster that is none of `without`."""

    def join(self, attempt: "Attempt", stream: Stream) -> Pump:
        """Carries bytes between the attempt's client and the stream."""

    def moved(self, attempt: "Attempt", pump: Pump) -> None:
        """What was joined goes to another cluster, or another way, than it was joined for."""

    def accepted(self, attempt: "Attempt") -> None:
        """The far side took the stream."""

    def refused(self, attempt: "Attempt", *, answer: Answer | None) -> None:
        """A cluster did not take it, and said why, or None: its tunnel was lost. Another is asked."""

    def exhausted(self, attempt: "Attempt", *, left: tuple[ClusterId, ...]) -> None:
        """No tunnel took it; `left` are the clusters that have none."""

    def broken(self, attempt: "Attempt") -> None:
        """The tunnel was lost when something may have been delivered: a reset."""


class Attempt:
    """Made, then `go`. `cluster` and `stream` are those of the moment, `reason` that of the last refusal."""

    __slots__ = (
        "_carrier",
        "_left",
        "_moved",
        "_order",
        "_pump",
        "_tried",
        "_tunnel",
        "_waiting",
        "asked",
        "began",
        "client",
        "cluster",
        "reason",
        "stream",
        "was_accepted",
    )

    def __init__(
        self,
        client: TcpStream,
        *,
        asked: Asked,
        order: tuple[ClusterId, ...],
        began: float,
        carrier: Carrier,
    ) -> None:
        self.client = client
        self.asked = asked
        self.began = began
        self.cluster: ClusterId | None = None
        self.stream: Stream | None = None
        self.reason = Reason.UNREACHABLE
        self.was_accepted = False
        self._order = list(order)  # of clusters whose tunnels may still be asked
        self._left: list[ClusterId] = []  # clusters that only a connection of its own may reach
        self._tried: list[Tunnel] = []
        self._moved = False  # by a refusal, away from the cluster that it was joined for
        self._carrier = carrier
        self._pump: Pump | None = None
        self._tunnel: Tunnel | None = None
        self._waiting: Waiting | None = None

    def go(self) -> None:
        """Asks the first cluster."""
        stream = self._next()
        if stream is None:
            self._carrier.exhausted(self, left=tuple(self._left))
        else:
            self._pump = self._carrier.join(self, stream)

    def go_directly(self, stream: Stream, *, cluster: ClusterId) -> None:
        """Goes on with a stream that is not one of a tunnel, and is ours already."""
        if self._pump is not None and self._pump.is_over:
            stream.abort()  # the client has gone meanwhile
            return
        self.cluster, self.stream = cluster, stream
        waiting, self._waiting = self._waiting, None
        if self._pump is None:
            self._pump = self._carrier.join(self, stream)
        else:
            self._pump.replace_right(stream)
            if waiting is not None:
                waiting.hand_over(stream)
        self._accepted()

    def give_up(self) -> None:
        """Nobody takes it: the client is reset."""
        if self._pump is None:
            self.client.abort()
        else:
            self._pump.abort()

    @property
    def is_joined(self) -> bool:
        """Whether the client is carried, and counted, already."""
        return self._pump is not None

    def _next(self) -> MuxStream | None:
        """A stream in the next tunnel that takes one: each of a cluster's tunnels is asked once at most."""
        while self._order:
            cluster = self._order[0]
            tunnel = self._carrier.tunnel_to(cluster, without=self._tried)
            if tunnel is None:
                self._left.append(self._order.pop(0))
                continue
            self._tried.append(tunnel)
            try:
                stream = tunnel.session.open(self.asked.message, answered=self._answered)
            except ProtocolError:
                tunnel.leave()  # its numbers are used up; what goes on in it may end
                continue
            self.cluster, self.stream, self._tunnel = cluster, stream, tunnel
            return stream
        return None

    def _answered(self, stream: MuxStream, message: bytes | None) -> None:
        if message == b"{}":
            stream.accepted()
            self._accepted()
            return
        tunnel = self._tunnel
        assert tunnel is not None, "what has a stream has its tunnel"
        if message is None:
            was_refused = stream.is_gone and not tunnel.is_gone
            if not was_refused and stream.sent:
                self._carrier.broken(self)
                return  # the reader hears that its stream is gone, and resets the client
            self._again(stream, answer=None)
            return
        try:
            answer = read_answer(message)
        except BadMessage:
            stream.abort()
            return
        if answer.reason:
            self._again(stream, answer=answer)
        else:
            stream.accepted()
            self._accepted()

    def _accepted(self) -> None:
        self.was_accepted = True
        self._tried = []
        if self._moved and self._pump is not None:
            self._carrier.moved(self, self._pump)
        self._carrier.accepted(self)

    def _again(self, stream: MuxStream, *, answer: Answer | None) -> None:
        if answer is not None and answer.reason not in _OF_ONE_GATEWAY:
            # Its other gateways would say the same.
            self._order = [cluster for cluster in self._order if cluster != self.cluster]
        self._moved = True
        kept, ended = stream.take_kept()
        stream.release()
        self._carrier.refused(self, answer=answer)
        waiting = Waiting([bytes(data) for data in kept], ended=ended, most=self._carrier.early_data)
        following = self._next()
        assert self._pump is not None, "who was asked has been joined"
        if following is not None:
            self._pump.replace_right(following)
            waiting.hand_over(following)
            return
        self._waiting = waiting
        self._pump.replace_right(waiting)
        self._carrier.exhausted(self, left=tuple(self._left))
