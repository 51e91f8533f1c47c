"""One stream of a tunnel as a `Stream`: windows, half close and reset, and what comes before the payload.

1. A stream sends at most what the other end's window allows; the rest, at most one read of the writer,
   waits here, and the writer is paused.
2. What comes is `mux_incoming`'s.
3. Until the other end has accepted, what was written is kept too, so that a refusal loses nothing
   (ruling 9): at most `early_data` bytes, then the writer is paused.
4. After a reset nothing is delivered, and what still comes for the stream is read and thrown away.
"""

from collections.abc import Callable
from typing import Self

from mesh_gateway.mux_incoming import Incoming
from mesh_gateway.opening import ACCEPTED, Answer, write_message
from mesh_gateway.stream import StreamReader
from mesh_gateway.way import Way
from mesh_gateway.yamux import (
    ACK,
    DATA,
    FIN,
    HEADER,
    INITIAL_WINDOW,
    LARGEST_NUMBER,
    RST,
    VERSION,
    WINDOW,
    ProtocolError,
)

_pack = HEADER.pack
_LONG_REST = 32 * 1024
_LARGEST_FRAME = 64 * 1024
"""Bytes of one DATA frame, so that a receiver hands on what it has, and nobody waits for a long one."""


class MuxStream(Incoming):
    """A stream; made by the session only. `answered` hears the other end's Answer, on the side that asked."""

    __slots__ = (
        "_end_due",
        "_ended",
        "_held_back",
        "_kept",
        "_kept_size",
        "_pending",
        "_pending_size",
        "_reserved",
        "_send_window",
        "_sender_paused",
        "sent",
    )

    def __init__(
        self, number: int, *, way: Way, answered: Callable[[Self, bytes | None], None] | None
    ) -> None:
        """As `Incoming`."""
        super().__init__(number, way=way, answered=answered)
        self.sent = 0
        self._kept: list[bytes | memoryview] | None = [] if answered is not None else None
        self._kept_size = 0
        self._reserved = 0
        # Until it is accepted a stream of ours may send no more than what is kept for another try.
        self._held_back = max(INITIAL_WINDOW - way.early_data, 0) if answered is not None else 0
        self._send_window = INITIAL_WINDOW - self._held_back
        self._pending: list[memoryview] = []
        self._pending_size = 0
        self._sender_paused = False
        self._ended = False
        self._end_due = False

    # Stream

    @property
    def unsent(self) -> int:
        """Bytes that wait for the other end's window."""
        return self._pending_size

    @property
    def unread(self) -> int:
        """Bytes that came before `start`."""
        return sum(map(len, self._early))

    @property
    def holds(self) -> int:
        return self._pending_size

    @property
    def is_gone(self) -> bool:
        """Whether the stream is over, in either way."""
        return self._gone

    def start(self, reader: StreamReader) -> None:
        """Begins to hand bytes to `reader`; called once by each reader, the newest counts."""
        self._reader = reader
        if self._gone:
            reader.stream_gone(cleanly=self._ended and self._remote_ended)
            return
        self._hand_on_early()
        if self._gone:
            return
        if self._remote_ended:
            reader.bytes_ended()
            if self._gone:
                return
        if self._kept is not None and not self._reserved and not self._reserve():
            self._sender_paused = True  # too much is kept already: this writer waits for its answer
        if self._sender_paused:
            reader.send_paused()

    def write(self, data: bytes | memoryview) -> None:
        """Sends `data` soon; ignored after `end`, and when the stream is gone."""
        if self._ended or self._gone:
            return
        size = len(data)
        if size <= self._send_window and size <= _LARGEST_FRAME and not self._pending:
            self._send_window -= size
            self.sent += size
            way = self._way
            way.send(_pack(VERSION, DATA, 0, self.id, size), data)
            if way.blocked:
                self._wait()
        else:
            self._pending.append(memoryview(data))
            self._pending_size += size
            self._send_pending()
        if self._kept is not None:
            self._keep(data)

    def end(self) -> None:
        """Ends our way when all that was written is sent."""
        if self._ended or self._gone:
            return
        self._ended = True
        if self._pending:
            self._end_due = True
            return
        self._send_end()

    def abort(self) -> None:
        """Resets the stream."""
        if not self._gone:
            self.answered = self.asked = None  # whoever resets knows it
            self._way.send_after(_pack(VERSION, WINDOW, RST, self.id, 0))
            self.lose()

    # Messages

    def accept(self) -> None:
        """Tells the side that asked that its stream is accepted."""
        self.answer(ACCEPTED)

    def answer(self, message: bytes) -> None:
        """Tells the side that asked `message`, as it is sent."""
        if not self._gone:
            self._send_window -= len(message)
            self._way.send_after(_pack(VERSION, DATA, ACK, self.id, len(message)) + message)

    def refuse(self, answer: Answer) -> None:
        """Tells why not, and ends the stream. Nothing of it was handed on."""
        if self._gone:
            return
        self.answer(write_message(answer))
        self._ended = True
        self._send_end()
        if not self._gone:
            # What is still on its way is of no interest to anybody.
            self._way.send_after(_pack(VERSION, WINDOW, RST, self.id, 0))
            self.lose()

    def take_kept(self) -> tuple[list[bytes | memoryview], bool]:
        """What was written while nobody had accepted, and whether the writer has ended."""
        kept = self._kept or []
        self._forget_kept()
        return kept, self._ended

    def release(self) -> None:
        """Lets go of the reader, who goes on with another stream, and of this one."""
        self._reader = None
        self.abort()

    def spend(self, size: int) -> None:
        """So many bytes of the other end's window were used by a message."""
        self._send_window -= size

    # From the session

    def credit(self, size: int) -> None:
        """The other end takes `size` bytes more. Raises ProtocolError."""
        self._send_window += size
        if self._send_window > LARGEST_NUMBER:
            raise ProtocolError("a window beyond its bound")
        if self._pending:
            self._send_pending()

    def room_came(self) -> None:
        """The tunnel takes data again."""
        if self._gone:
            return
        if self._pending:
            self._send_pending()
        if not self._pending:
            self._let_write()

    def hold_writer(self) -> None:
        """The tunnel takes no more data for now."""
        if not (self._gone or self._ended):
            self._wait()

    def ended_by_peer(self) -> None:
        """The other end ended its way."""
        if self._remote_ended or self._gone:
            return
        self._remote_ended = True
        self.window_left = 0  # whoever sends more breaks the protocol
        if self._head is not None:
            was_ours = self.answered is not None
            self._no_message()
            if was_ours:
                self.abort()  # an end instead of an answer promises nothing
        elif self._reader is not None:
            self._reader.bytes_ended()
        self._close_if_done()

    def lose(self) -> None:
        """The stream is gone: reset from either side, or its tunnel is."""
        if self._gone:
            return
        self._gone = True
        self._take_early()
        self._forget()
        self._pending = []
        self._pending_size = 0
        if self._head is not None:
            self._no_message()  # who hears it may take what was kept
        self._forget_kept()
        reader, self._reader = self._reader, None
        self.answered = self.asked = None
        if reader is not None:
            reader.stream_gone(cleanly=False)

    # Sending

    def _send_pending(self) -> None:
        """Sends of what waits as much as window and tunnel allow."""
        way = self._way
        pending = self._pending
        while pending and self._send_window > 0 and not way.blocked:
            piece = pending[0]
            size = min(len(piece), self._send_window, _LARGEST_FRAME)
            if size == len(piece):
                pending.pop(0)
            else:
                # A short rest must not keep alive the whole of what was read.
                rest = piece[size:]
                pending[0] = rest if len(rest) >= _LONG_REST else memoryview(bytes(rest))
                piece = piece[:size]
            self._send_window -= size
            self._pending_size -= size
            self.sent += size
            way.send(_pack(VERSION, DATA, 0, self.id, size), piece)
        if pending:
            self._wait()
        elif self._end_due:
            self._end_due = False
            self._send_end()
        elif way.blocked:
            self._wait()
        else:
            self._let_write()

    def _wait(self) -> None:
        if self._way.blocked:
            self._way.wait_for_room(self)
        # Said again when it is paused already: it may hold more than before.
        if not self._sender_paused or self._pending:
            self._sender_paused = True
            if self._reader is not None:
                self._reader.send_paused()

    def _let_write(self) -> None:
        if self._sender_paused and (self._kept is None or self._may_keep()):
            self._sender_paused = False
            if self._reader is not None:
                self._reader.send_resumed()

    def _may_keep(self) -> bool:
        """Whether a writer that nobody has accepted yet may go on."""
        return self._reserved > 0 and self._kept_size < self._way.early_data

    def _send_end(self) -> None:
        self._way.send_after(_pack(VERSION, WINDOW, FIN, self.id, 0))
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._ended and not self._end_due and self._remote_ended and not self._gone:
            self._gone = True
            self._forget()
            reader, self._reader = self._reader, None
            self.answered = self.asked = None
            if reader is not None:
                reader.stream_gone(cleanly=True)

    def _forget(self) -> None:
        if self._grown:
            self._way.budget.give(self._grown)
        self._way.forget(self)

    def _reserve(self) -> bool:
        """Whether this stream may keep what its writer says before the answer."""
        size = self._way.early_data
        if self._way.kept.take(size):
            self._reserved = size
            return True
        return False

    def _forget_kept(self) -> None:
        self._kept = None
        if self._reserved:
            self._way.kept.give(self._reserved)
            self._reserved = 0

    def _keep(self, data: bytes | memoryview) -> None:
        assert self._kept is not None
        size = len(data)
        self._kept.append(data)
        self._kept_size += size
        if self._kept_size >= self._way.early_data and not self._sender_paused:
            self._sender_paused = True
            if self._reader is not None:
                self._reader.send_paused()

    def accepted(self) -> None:
        """The other end has accepted: what was kept is not needed any more, payload flows."""
        self._forget_kept()
        self._send_window += self._held_back
        self._held_back = 0
        if self._pending and not self._gone:
            self._send_pending()
        elif not (self._way.blocked or self._gone):
            self._let_write()
        reader = self._reader
        if reader is not None:
            self._hand_on_early()
