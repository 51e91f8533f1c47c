"""One UDP flow: datagrams between a socket and a stream of its own. What both halves have in common.

1. A datagram goes into the stream at once, or waits a moment when the stream is paused (`udp_queue`); it is
   dropped rather than kept. What the stream brings goes to the socket at once, or is dropped.
2. A flow is over once, by itself (idle, the stream ended or broke, bad framing) or by order, and carries
   nothing from then on; it is gone when nothing is left of its stream. `FlowTable` hears of both.
3. When the other end ends its way we end ours: half a flow is none.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from typing import Protocol

from mesh_gateway.datagrams import BadDatagram, DatagramReader
from mesh_gateway.stream import Stream
from mesh_gateway.udp_queue import DatagramQueue


class FlowKeeper(Protocol):
    """Who keeps flows: `FlowTable`."""

    def touched(self, flow: "UdpFlow") -> None:
        """A datagram went one way or the other."""

    def wait(self, flow: "UdpFlow", frame: bytes) -> None:
        """The flow's stream takes no datagram now."""

    def waits_no_more(self, flow: "UdpFlow") -> bytes:
        """The flow's stream takes datagrams again: those that are worth it, framed."""

    def bad_framing(self) -> None:
        """The other end sent what is no datagram."""

    def over(self, flow: "UdpFlow") -> None:
        """The flow carries nothing any more."""

    def gone(self, flow: "UdpFlow") -> None:
        """Nothing is left of its stream."""


class UdpFlow(ABC):
    """A flow over `stream`. `group` is what flows are counted by, `patience` how long it may be idle.

    `last` is when it was used last, and the keeper's to set. A reader of its stream.
    """

    __slots__ = ("_keeper", "_paused", "_reader", "_stream", "group", "is_over", "last", "patience", "queue")

    def __init__(self, stream: Stream, *, keeper: FlowKeeper, group: Hashable, patience: float) -> None:
        self.group = group
        self.patience = patience
        self.last = 0.0
        self.is_over = False
        self.queue: DatagramQueue | None = None  # while something waits
        self._keeper = keeper
        self._stream = stream
        self._reader = DatagramReader()
        self._paused = False

    @abstractmethod
    def deliver(self, datagrams: Iterable[bytes]) -> None:
        """Sends what the stream brought from the socket. Raises nothing."""

    @abstractmethod
    def let_go(self, *, cleanly: bool) -> None:
        """The flow is over, in good order or not: whoever knows it forgets it."""

    @abstractmethod
    def close(self) -> None:
        """The stream is gone, and the flow with it; said once, last."""

    def start(self) -> None:
        """Lets the stream's datagrams come. The flow may be over at once."""
        self._stream.start(self)

    def send(self, frame: bytes) -> None:
        """Sends a datagram, framed, into the stream."""
        if self.is_over:
            return
        self._keeper.touched(self)
        if self._paused:
            self._keeper.wait(self, frame)
        else:
            self._stream.write(frame)

    def end(self) -> None:
        """Ends the flow in good order; what waits is dropped."""
        if not self.is_over:
            self._finish(cleanly=True)
            self._stream.end()

    def abort(self) -> None:
        """Resets the stream, also of a flow that is over."""
        self._finish(cleanly=False)
        self._stream.abort()

    # StreamReader

    def bytes_came(self, data: bytes) -> None:
        if self.is_over:
            return
        try:
            datagrams = self._reader.feed(data)
        except BadDatagram:
            self._keeper.bad_framing()
            self.abort()
            return
        if datagrams:
            self._keeper.touched(self)
            self.deliver(datagrams)

    def bytes_ended(self) -> None:
        self.end()

    def send_paused(self) -> None:
        self._paused = True

    def send_resumed(self) -> None:
        self._paused = False
        if self.queue is not None:
            waiting = self._keeper.waits_no_more(self)
            if waiting:
                self._stream.write(waiting)

    def stream_gone(self, *, cleanly: bool) -> None:
        self._finish(cleanly=cleanly)
        self._keeper.gone(self)
        self.close()

    def _finish(self, *, cleanly: bool) -> None:
        if not self.is_over:
            self.is_over = True
            self._keeper.over(self)
            self.let_go(cleanly=cleanly)
