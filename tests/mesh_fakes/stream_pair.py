"""Two ends of a stream in memory: what one writes, the other reads at the next turn of the loop.

They keep the promises of `mesh_gateway.stream`. A test may `hold` one way, as a carrier does that takes
nothing for now.
"""

import asyncio

from mesh_gateway.stream import StreamReader


def stream_pair() -> tuple["MemoryStream", "MemoryStream"]:
    """Both ends of one stream."""
    left, right = MemoryStream(), MemoryStream()
    left.other, right.other = right, left
    return left, right


class MemoryStream:
    """One end; `is_gone` when nothing is left of it."""

    other: "MemoryStream"

    def __init__(self) -> None:
        self.reader: StreamReader | None = None
        self.is_gone = False
        self.is_held = False
        self.came = 0
        self.sent = 0
        self._inbox: list[bytes] = []
        self._outbox: list[bytes] = []  # while the way is held
        self._is_paused = False
        self._ended = False
        self._end_due = False
        self._bytes_ended = False
        self._told_end = False

    def hold(self) -> None:
        """Takes nothing from this end's writer until `let_go`."""
        self.is_held = True
        if self.reader is not None:
            self.reader.send_paused()

    def let_go(self) -> None:
        """Sends what was written meanwhile, and tells the writer so."""
        self.is_held = False
        waiting, self._outbox = self._outbox, []
        for data in waiting:
            self._send(data)
        if self._end_due:
            self._send_end()
        elif self.reader is not None and not self.is_gone:
            self.reader.send_resumed()

    # Stream

    @property
    def unsent(self) -> int:
        return sum(map(len, self._outbox))

    @property
    def holds(self) -> int:
        """As `Stream`."""
        return self.unsent

    def start(self, reader: StreamReader) -> None:
        self.reader = reader
        if self.is_held:
            reader.send_paused()
        if self.is_gone:
            reader.stream_gone(cleanly=False)
        else:
            self._soon()

    def write(self, data: bytes) -> None:
        if self._ended or self.is_gone:
            return
        if self.is_held:
            self._outbox.append(data)
        else:
            self._send(data)

    def end(self) -> None:
        if self._ended or self.is_gone:
            return
        self._ended = True
        if self.is_held:
            self._end_due = True
        else:
            self._send_end()

    def abort(self) -> None:
        for end in (self, self.other):
            end._gone(cleanly=False)

    def pause(self) -> None:
        self._is_paused = True

    def resume(self) -> None:
        self._is_paused = False
        self._soon()

    # Between the two ends

    def _send(self, data: bytes) -> None:
        self.sent += len(data)
        self.other._inbox.append(data)
        self.other._soon()

    def _send_end(self) -> None:
        self._end_due = False
        self.other._bytes_ended = True
        self.other._soon()
        self._soon()

    def _soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        if self.reader is None or self._is_paused or self.is_gone:
            return
        inbox, self._inbox = self._inbox, []
        if data := b"".join(inbox):
            self.came += len(data)
            self.reader.bytes_came(data)
        if self._bytes_ended and not self._told_end:
            self._told_end = True
            self.reader.bytes_ended()
        if self._told_end and self._ended and not self._end_due:
            self._gone(cleanly=True)

    def _gone(self, *, cleanly: bool) -> None:
        if not self.is_gone:
            self.is_gone = True
            if self.reader is not None:
                self.reader.stream_gone(cleanly=cleanly)
