"""One tunnel's state: streams, frames in and out, pings, going away. No I/O: bytes go in, bytes come out.

1. Bytes of a payload are handed on as they arrive; a frame is never waited for. Frames of streams that are
   gone are read to their end all the same, or the tunnel would lose its place.
2. What is to be sent lies in two queues: control frames (credit, pings) leave first, data and what ends
   a stream in the order in which it came. The owner takes all of it at once (`take`).
3. `blocked` says that the owner cannot send now. Writers are held then, one by one as they write, and all
   of them when `buffer` bytes wait: so what waits is bounded, whatever the number of streams.
4. The other end may open `limits.streams` streams; further ones are reset at once, which is a refusal:
   nothing of them is looked at. So is everything it opens after our go-away.
5. A peer that breaks the protocol or a bound loses the tunnel (`ProtocolError` out of `received`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.window_budget import WindowBudget
from mesh_gateway.yamux import (
    ACK,
    ALL_FLAGS,
    DATA,
    FIN,
    GO_AWAY,
    HEADER,
    HEADER_SIZE,
    PING,
    RST,
    SYN,
    VERSION,
    WINDOW,
    Farewell,
    ProtocolError,
    go_away_frame,
    ping_frame,
)

_unpack = HEADER.unpack_from
_pack = HEADER.pack
_LAST_NUMBER = 0xFFFFFFFF - 2
_JOINED = 32 * 1024
"""Bytes up to which joining is cheaper than handing over piece by piece."""
_SHORT = 16 * 1024


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Bounds of one tunnel. Sizes are bytes.

    `streams`: open at a time by the other end. `buffer`: what may wait to be sent before all writers are
    held. `flush`: what is sent at once without waiting for the turn's end. `control`: control frames that
    may wait. `window`: to what a stream's window may grow. `asking`: streams of the other end that have not
    said yet what they want.
    """

    streams: int = 8192
    buffer: int = 1024 * 1024
    flush: int = 256 * 1024
    control: int = 1024 * 1024
    window: int = 4 * 1024 * 1024
    early_data: int = 64 * 1024
    asking: int = 1024


class SessionOwner(Protocol):
    """Who holds the connection."""

    def flush_soon(self) -> None:
        """There is something to send; asked once until `take`."""

    def flush_now(self) -> None:
        """So much waits that it should leave before this turn of the loop ends."""

    def stream_asked(self, stream: MuxStream, message: bytes | None) -> None:
        """The other end opened a stream with this message; None: with none, or one that is too long."""

    def stream_ended(self) -> None:
        """One stream less."""

    def pong(self, number: int) -> None:
        """The answer to one of our pings."""

    def went_away(self, reason: int) -> None:
        """The other end takes no more streams."""

    def bound_broken(self, why: str) -> None:
        """The other end makes us keep more than we will: the session is of no use any more."""


class Session:
    """One end of a tunnel. `is_client`: the end that dialled. The owner sets `now` and `rtt`, in seconds."""

    def __init__(
        self,
        owner: SessionOwner,
        *,
        is_client: bool,
        limits: SessionLimits,
        budget: WindowBudget,
        kept: WindowBudget,
        early: WindowBudget,
    ) -> None:
        """`budget` is what windows grow out of, `kept` what early data of ours may
        take until it is accepted, `early` what the other end's may."""
        self.now = 0.0
        self.rtt = math.inf  # until it is known the way counts as a long one
        self.blocked = False
        self.budget = budget
        self.kept = kept
        self.largest_window = limits.window
        self.early_data = limits.early_data
        self.streams: dict[int, MuxStream] = {}
        self.asking: dict[MuxStream, float] = {}
        """Streams of the other end that have not said what they want, with the time at which they came."""
        self.theirs = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self._owner = owner
        self._limits = limits
        self._next = 1 if is_client else 2
        self._parity = 0 if is_client else 1  # of the numbers that the other end uses
        self._out: list[bytes | memoryview] = []
        self._out_size = 0
        self._said = 0  # bytes of what is no payload among them
        self._control: list[bytes] = []
        self._flush_due = False
        self._early = early
        self._waiting: dict[MuxStream, None] = {}
        self._all_held = False
        self._current: MuxStream | None = None
        self._left = 0  # of the payload that is being read
        self._fin_after = False
        self._rest = b""  # a header that is not whole
        self._leaving = False
        self._lost = False

    # Streams

    def open(self, message: bytes, *, answered: Callable[[MuxStream, bytes | None], None]) -> MuxStream:
        """A new stream that begins with `message`. `answered` hears what the other end says to it."""
        number = self._next
        if number > _LAST_NUMBER:
            raise ProtocolError("all stream numbers are used up")
        self._next = number + 2
        stream = MuxStream(number, way=self, answered=answered)
        self.streams[number] = stream
        stream.spend(len(message))
        self.send(_pack(VERSION, DATA, SYN, number, len(message)), message)
        return stream

    @property
    def is_exhausted(self) -> bool:
        """Whether most stream numbers are used up: time for another tunnel."""
        return self._next > _LAST_NUMBER // 2

    def leave(self, reason: Farewell = Farewell.NORMAL) -> None:
        """Takes no more streams of the other end, and tells it; open ones go on."""
        if not self._leaving:
            self._leaving = True
            self.send_after(go_away_frame(reason))

    def ping(self, number: int) -> None:
        """Sends a ping; `pong` will hear the answer."""
        self.send_first(ping_frame(number, is_answer=False))

    def lose(self) -> None:
        """The connection is gone: so are all streams."""
        self._lost = True
        self._out, self._control, self._out_size = [], [], 0
        self._waiting.clear()
        for stream in tuple(self.streams.values()):
            stream.lose()

    def ping_after(self, number: int) -> None:
        """Sends a ping behind all that waits to be sent."""
        self.send_after(ping_frame(number, is_answer=False))

    # Sending

    @property
    def has_output(self) -> bool:
        """Whether `take` would give anything."""
        return bool(self._out or self._control)

    def take(self) -> list[bytes | memoryview]:
        """All that is to be sent now: short pieces are joined, long ones left alone."""
        self._flush_due = False
        out, self._out = self._out, []
        size, self._out_size = self._out_size, 0
        self._said = 0
        if self._control:
            size += HEADER_SIZE * len(self._control)
            out[0:0] = self._control
            self._control = []
        self.bytes_out += size
        return [b"".join(out)] if size <= _JOINED else _joined(out)

    def send(self, header: bytes, payload: bytes | memoryview) -> None:
        """As `Way`."""
        out = self._out
        out.append(header)
        out.append(payload)
        self._out_size += len(payload) + HEADER_SIZE
        if not self._flush_due:
            self._flush_due = True
            self._owner.flush_soon()
        if self._out_size >= self._limits.flush:
            if not self.blocked:
                self._owner.flush_now()
            elif self._out_size >= self._limits.buffer and not self._all_held:
                self._hold_all()

    def send_after(self, frame: bytes) -> None:
        """As `Way`."""
        if self._lost:
            return
        self._out.append(frame)
        self._out_size += len(frame)
        self._said += len(frame)
        if self._said > self._limits.control:
            self._owner.bound_broken("the other end opens streams and takes no answers")
        self._ask_flush()

    def send_first(self, frame: bytes) -> None:
        """As `Way`."""
        if self._lost:
            return
        self._control.append(frame)
        if len(self._control) * HEADER_SIZE > self._limits.control:
            self._owner.bound_broken("the other end asks for answers and takes none")
        self._ask_flush()

    def keep_early(self, size: int) -> bool:
        """As `Way`."""
        if size < 0:
            self._early.give(-size)
            return True
        return self._early.take(size)

    def wait_for_room(self, stream: MuxStream) -> None:
        """As `Way`."""
        self._waiting[stream] = None

    def unblock(self) -> None:
        """The owner can send again."""
        self.blocked = False
        self._all_held = False
        waiting, self._waiting = self._waiting, {}
        for stream in waiting:
            stream.room_came()

    def forget(self, stream: MuxStream) -> None:
        """As `Way`."""
        if self.streams.pop(stream.id, None) is not None and stream.id & 1 == self._parity:
            self.theirs -= 1
        self._waiting.pop(stream, None)
        self.asking.pop(stream, None)
        if stream is self._current:
            self._current = None  # the rest of its payload is read, and goes nowhere
        self._owner.stream_ended()

    def _ask_flush(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._owner.flush_soon()

    def _hold_all(self) -> None:
        self._all_held = True
        for stream in tuple(self.streams.values()):
            stream.hold_writer()

    # Receiving

    def received(self, data: bytes) -> None:
        """Takes what the connection brought. Raises ProtocolError; the session is of no use then."""
        self.bytes_in += len(data)
        if self._left:
            left = self._left
            if left >= len(data):
                self._left = left - len(data)
                if self._current is not None:
                    self._current.payload(data)
                if not self._left:
                    self._payload_ended()
                return
            self._left = 0
            if self._current is not None:
                self._current.payload(data[:left])
            self._payload_ended()
            at = left
        else:
            at = 0
            if self._rest:
                data = self._rest + data
                self._rest = b""
        size = len(data)
        streams = self.streams
        while size - at >= HEADER_SIZE:
            version, kind, flags, number, length = _unpack(data, at)
            at += HEADER_SIZE
            if kind == DATA and not version:
                stream = streams.get(number)
                if flags:
                    stream = self._flagged(stream, number=number, flags=flags)
                if stream is not None:
                    window = stream.window_left - length
                    if window < 0:
                        raise ProtocolError("more bytes than the window allows")
                    stream.window_left = window
                end = at + length
                if end > size:
                    self._left = end - size
                    self._current = stream
                    self._fin_after = bool(flags & FIN)
                    if stream is not None and size > at:
                        stream.payload(data[at:])
                    return
                if stream is not None:
                    if length:
                        stream.payload(data[at:end])
                    if flags & FIN:
                        stream.ended_by_peer()
                at = end
            else:
                self._control_frame(version, kind=kind, flags=flags, number=number, length=length)
        if at < size:
            self._rest = data[at:]

    def _payload_ended(self) -> None:
        stream, self._current = self._current, None
        if stream is not None and self._fin_after:
            stream.ended_by_peer()

    def _control_frame(self, version: int, *, kind: int, flags: int, number: int, length: int) -> None:
        if version != VERSION or kind > GO_AWAY or flags & ~ALL_FLAGS:
            raise ProtocolError("a frame of no known kind")
        if kind == WINDOW:
            stream = self.streams.get(number)
            if flags:
                stream = self._flagged(stream, number=number, flags=flags)
            if stream is not None:
                if length:
                    stream.credit(length)
                if flags & FIN:
                    stream.ended_by_peer()
        elif kind == PING:
            if flags & SYN:
                self.send_first(ping_frame(length, is_answer=True))
            elif flags & ACK:
                self._owner.pong(length)
        else:
            self._owner.went_away(length)

    def _flagged(self, stream: MuxStream | None, *, number: int, flags: int) -> MuxStream | None:
        """What SYN, ACK and RST of a frame mean; the stream that the rest of the frame is for."""
        if flags & ~ALL_FLAGS:
            raise ProtocolError("a frame with unknown flags")
        if flags & SYN:
            if stream is not None or number == 0 or number & 1 != self._parity:
                raise ProtocolError("a stream number that is not free")
            if flags & RST:
                return None
            stream = self._accept(number)
        if flags & RST and stream is not None:
            stream.lose()
            return None
        return stream

    def _accept(self, number: int) -> MuxStream | None:
        limits = self._limits
        if self._leaving or self.theirs >= limits.streams or len(self.asking) >= limits.asking:
            self.send_first(_pack(VERSION, WINDOW, RST, number, 0))
            return None
        stream = MuxStream(number, way=self, answered=None)
        stream.asked = self._owner.stream_asked
        self.streams[number] = stream
        self.asking[stream] = self.now
        self.theirs += 1
        return stream


def _joined(pieces: list[bytes | memoryview]) -> list[bytes | memoryview]:
    """The same bytes in fewer pieces: what is short is joined with its neighbours."""
    found: list[bytes | memoryview] = []
    short: list[bytes | memoryview] = []
    for piece in pieces:
        if len(piece) < _SHORT:
            short.append(piece)
            continue
        if short:
            found.append(b"".join(short))
            short = []
        found.append(piece)
    if short:
        found.append(b"".join(short))
    return found
