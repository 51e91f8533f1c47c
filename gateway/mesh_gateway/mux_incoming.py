"""What comes on a stream of a tunnel: a message first, then payload, and the credit that is given for it.

1. What was handed on is given back in parts, an eighth of the window each but never a small one, while the
   reader keeps up: given back in halves, a sender far away would stand still between them. A reader that
   does not keep up stops only its own stream, and the tunnel goes on being read (ruling 15).
2. A window doubles, up to a largest one, each time a part was used up so fast that half of it would be gone
   in a few round trips: the reader keeps up, and the window is what limits it. What windows grow by comes
   out of a budget.
3. The first bytes that come are a message (`opening`), which `answered` or `asked` gets; what follows is
   payload. Before there is a reader it is kept, and what all streams keep so is bounded.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

from mesh_gateway.opening import Answer, BadMessage, MessageReader, Reason
from mesh_gateway.stream import StreamReader
from mesh_gateway.way import Way
from mesh_gateway.yamux import HEADER, INITIAL_WINDOW, VERSION, WINDOW

_pack = HEADER.pack
_QUICK = 4.0
"""A window of which half is used up within so many round trips is too small."""
_LEAST_QUICK = 0.01
"""Seconds that count as quick whatever the round trip."""
_PARTS = 8
"""A window is given back in so many parts; over 50 ms two of them carry a quarter less than eight."""
_LEAST_PART = INITIAL_WINDOW // 2


class Incoming(ABC):
    """The receiving half of a stream; `mux_stream.MuxStream` is the whole."""

    __slots__ = (
        "_counted",
        "_early",
        "_gone",
        "_granted_at",
        "_grown",
        "_head",
        "_is_ours",
        "_is_paused",
        "_owed",
        "_reader",
        "_remote_ended",
        "_threshold",
        "_way",
        "_window",
        "answered",
        "asked",
        "came",
        "id",
        "window_left",
    )

    def __init__(
        self, number: int, *, way: Way, answered: Callable[[Self, bytes | None], None] | None
    ) -> None:
        """`answered` gets the message of the side that was asked, None when it went without one; None for a
        stream that the other end opened: then `asked` will get its message."""
        self.id = number
        self.answered = answered
        self.asked: Callable[[Self, bytes | None], None] | None = None
        self.came = 0
        self.window_left = INITIAL_WINDOW
        self._way = way
        self._is_ours = answered is not None
        self._reader: StreamReader | None = None
        self._head: MessageReader | None = MessageReader()  # while the message is not whole
        self._early: list[bytes] = []
        self._counted = 0  # bytes that the session's budget keeps for us
        self._window = INITIAL_WINDOW
        self._threshold = _LEAST_PART
        self._grown = 0
        self._owed = 0
        self._granted_at = way.now
        self._is_paused = False
        self._remote_ended = False
        self._gone = False

    @abstractmethod
    def refuse(self, answer: Answer) -> None:
        """Tells why not, and ends the stream."""

    def payload(self, data: bytes) -> None:
        """The next bytes of a DATA frame, whose size was taken off `window_left`."""
        reader = self._reader
        if reader is None or self._head is not None or self._early:
            self._came_early(data)
        else:
            self.came += len(data)
            self._owed += len(data)
            reader.bytes_came(data)
            if self._owed >= self._threshold and not (self._is_paused or self._gone or self._remote_ended):
                self._grant()

    def pause(self) -> None:
        """Gives no more credit until `resume`."""
        self._is_paused = True

    def resume(self) -> None:
        """Goes on giving credit."""
        self._is_paused = False
        if self._owed >= self._threshold and not (self._remote_ended or self._gone):
            self._grant()

    def _grant(self) -> None:
        credit = self._owed
        self._owed = 0
        way = self._way
        window = self._window
        quick = max(_QUICK * way.rtt, _LEAST_QUICK) * self._threshold / (window // 2)
        if window < way.largest_window and way.now - self._granted_at < quick and way.budget.take(window):
            self._window = 2 * window
            self._threshold = max(_LEAST_PART, self._window // _PARTS)
            self._grown += window
            credit += window
        self._granted_at = way.now
        self.window_left += credit
        way.send_first(_pack(VERSION, WINDOW, 0, self.id, credit))

    def _take_early(self) -> list[bytes]:
        early, self._early = self._early, []
        if self._counted:
            self._way.keep_early(-self._counted)
            self._counted = 0
        return early

    def _hand_on_early(self) -> None:
        for data in self._take_early():
            if self._gone:
                return
            self.payload(data)

    def _keep_early(self, data: bytes) -> None:
        if self._count(len(data)):
            self._early.append(data)

    def _count(self, size: int) -> bool:
        """Whether so many more bytes of the other end's may be kept; the stream is refused otherwise."""
        if self._is_ours:
            return True
        if not self._way.keep_early(size):
            self.refuse(Answer(Reason.OVERLOAD.value, "too much came before it was accepted"))
            return False
        self._counted += size
        return True

    def _came_early(self, data: bytes) -> None:
        head = self._head
        if head is None:
            self._keep_early(data)
            return
        self._owed += len(data)
        if not self._count(len(data)):
            return
        try:
            body = head.feed(data)
        except BadMessage:
            self._no_message()
            return
        if body is not None:
            self._head = None
            self._take_early()  # the message is counted no more
            if head.rest:
                self._owed -= len(head.rest)
                self._keep_early(head.rest)
            self._message_came(body)

    def _message_came(self: Self, body: bytes) -> None:
        if self.answered is None:
            if self.asked is not None:
                self.asked(self, body)
            return
        answered, self.answered = self.answered, None
        answered(self, body)

    def _no_message(self: Self) -> None:
        """Bytes, or an end, came where a message should stand."""
        self._head = None
        hear, self.answered = self.answered or self.asked, None
        if hear is not None:
            hear(self, None)
