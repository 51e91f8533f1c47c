"""One client's connection on its way to another cluster, through one tunnel after the other if need be.

1. The first tunnel that is open gets the stream, and the client's bytes go after it at once: a new
   connection costs no round trip of its own.
2. Another cluster is asked only when nothing can have been delivered (ruling 9): the far side refused, or
   the tunnel was lost before a byte of the client was sent into it. What the client had said is kept until
   then, at most `Limits.early_data` of it. Anything else is a reset.
3. A cluster without an open tunnel is asked by a connection of its own, when none with one takes the stream.
"""

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
from mesh_gateway.yamux import ProtocolError


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client wants: a stream for `opening` by `route`; `client` is its address."""

    route: Egress
    opening: Opening
    message: bytes
    client: str


class Carrier(Protocol):
    """The egress half, as far as an attempt needs it."""

    def tunnel_to(self, cluster: ClusterId) -> Tunnel | None:
        """An open tunnel to the cluster."""

    def join(self, attempt: "Attempt", stream: Stream) -> Pump:
        """Carries bytes between the attempt's client and the stream."""

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
        "_order",
        "_pump",
        "_tunnel",
        "asked",
        "began",
        "client",
        "cluster",
        "reason",
        "stream",
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
        self.reason = Reason.UNREACHABLE  # of the last refusal
        self._order = iter(order)
        self._left: list[ClusterId] = []
        self._carrier = carrier
        self._pump: Pump | None = None
        self._tunnel: Tunnel | None = None

    def go(self) -> None:
        """Asks the first cluster."""
        stream = self._next()
        if stream is None:
            self._carrier.exhausted(self, left=tuple(self._left))
        else:
            self._pump = self._carrier.join(self, stream)

    def go_directly(self, stream: Stream, *, cluster: ClusterId) -> None:
        """Goes on with a stream that is not one of a tunnel, and is ours already."""
        kept, ended = _kept_of(self.stream)
        self.cluster, self.stream = cluster, stream
        if self._pump is None:
            self._pump = self._carrier.join(self, stream)
        else:
            self._turn_to(stream, kept=kept, ended=ended)
        self._carrier.accepted(self)

    def give_up(self) -> None:
        """Nobody takes it: the client is reset."""
        if self._pump is None:
            self.client.abort()
        else:
            self._pump.lose_right()

    @property
    def is_joined(self) -> bool:
        """Whether the client is carried, and counted, already."""
        return self._pump is not None

    def _next(self) -> MuxStream | None:
        """A stream in the next tunnel that takes one."""
        for cluster in self._order:
            tunnel = self._carrier.tunnel_to(cluster)
            if tunnel is None:
                self._left.append(cluster)
                continue
            try:
                stream = tunnel.session.open(self.asked.message, answered=self._answered)
            except ProtocolError as error:
                tunnel.abort(str(error))
                self._left.append(cluster)
                continue
            self.cluster, self.stream, self._tunnel = cluster, stream, tunnel
            return stream
        return None

    def _answered(self, stream: MuxStream, message: bytes | None) -> None:
        if message == b"{}":
            stream.accepted()
            self._carrier.accepted(self)
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
            self._carrier.accepted(self)

    def _again(self, stream: MuxStream, *, answer: Answer | None) -> None:
        kept, ended = stream.take_kept()
        stream.release()
        self._carrier.refused(self, answer=answer)
        following = self._next()
        if following is not None:
            self._turn_to(following, kept=kept, ended=ended)
            return
        stream.keep_for_later(kept, ended=ended)
        self._carrier.exhausted(self, left=tuple(self._left))

    def _turn_to(self, stream: Stream, *, kept: list[bytes | memoryview], ended: bool) -> None:
        assert self._pump is not None, "only what was carried can be carried on"
        self._pump.replace_right(stream)
        for data in kept:
            stream.write(bytes(data))
        if ended:
            stream.end()


def _kept_of(stream: Stream | None) -> tuple[list[bytes | memoryview], bool]:
    return stream.take_kept() if isinstance(stream, MuxStream) else ([], False)
