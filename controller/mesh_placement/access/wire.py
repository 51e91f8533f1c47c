"""One connection, read and written by tasks: no more than a bounded amount is held in either direction."""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from mesh_placement.access.heads import MOST_BYTES, BadHead

_MOST_READ: Final = 1 << 18
"""Bytes that wait to be taken before the other end is stopped (TCP's own flow control)."""
_MOST_WRITTEN: Final = 1 << 18
_END_OF_HEAD: Final = b"\r\n\r\n"


class Wire(asyncio.Protocol):
    """Made by whoever accepts or dials. One task reads and one writes, which may be the same."""

    def __init__(self, *, made: Callable[["Wire"], None] | None = None) -> None:
        self.transport: asyncio.Transport
        self.ended = False
        """Whether the other end will say nothing more; what it said before is still to be taken."""
        self.on_end: Callable[[], None] | None = None
        """Called once, when it has ended."""
        self._made = made
        self._buffer = bytearray()
        self._is_paused = False
        self._heard: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_MOST_WRITTEN)
        if self._made is not None:
            self._made(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > _MOST_READ and not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._end()
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        self._end()
        self.resume_writing()

    def pause_writing(self) -> None:
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    @property
    def waiting(self) -> int:
        """How many bytes have come and were not taken."""
        return len(self._buffer)

    async def head(self, *, until: float | None = None) -> bytes | None:
        """The next head without its blank line; None when the other end ended before it.

        Raises BadHead, and TimeoutError when it is not whole at `until` (on the loop's clock).
        """
        seen = 0
        while True:
            end = self._buffer.find(_END_OF_HEAD, max(0, seen - 3))
            if end > MOST_BYTES or (end < 0 and len(self._buffer) > MOST_BYTES):
                raise BadHead(f"a head of more than {MOST_BYTES} bytes")
            if end >= 0:
                return self.take(end + len(_END_OF_HEAD))[:end]
            if self.ended:
                return None
            seen = len(self._buffer)
            await self.more(until=until)

    async def some(self) -> bytes:
        """Whatever has come, b"" at the end."""
        if not self._buffer and not self.ended:
            await self.more()
        return self.take(len(self._buffer))

    def take(self, count: int) -> bytes:
        """The first `count` bytes of what has come."""
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        if self._is_paused and len(self._buffer) <= _MOST_READ // 2 and not self.ended:
            self._is_paused = False
            self.transport.resume_reading()
        return taken

    def give_back(self, data: bytes) -> None:
        """Put what was taken too much before what has come since."""
        self._buffer[:0] = data

    async def more(self, *, until: float | None = None) -> None:
        """Wait for bytes, or for the end; TimeoutError at `until`."""
        assert self._heard is None, "two tasks read one connection"
        loop = asyncio.get_running_loop()
        heard = self._heard = loop.create_future()
        # A timer by itself costs a third of asyncio.timeout, and every request waits twice.
        timer = None if until is None else loop.call_at(until, _late, heard)
        try:
            await heard
        finally:
            self._heard = None
            if timer is not None:
                timer.cancel()

    def write(self, data: bytes) -> None:
        """Send; `drain` before more than a head."""
        self.transport.write(data)

    async def drain(self) -> None:
        """Wait until there is room for more; ConnectionResetError when nobody takes it."""
        if self._room is not None:
            await asyncio.shield(self._room)
        if self.transport.is_closing():
            raise ConnectionResetError("the connection was lost")

    def close(self) -> None:
        """End it when what was written is out."""
        self.transport.close()

    def abort(self) -> None:
        """End it now."""
        self.transport.abort()

    def _end(self) -> None:
        if not self.ended:
            self.ended = True
            self._wake()
            if self.on_end is not None:
                self.on_end()

    def _wake(self) -> None:
        if self._heard is not None and not self._heard.done():
            self._heard.set_result(None)


def _late(heard: "asyncio.Future[None]") -> None:
    if not heard.done():
        heard.set_exception(TimeoutError())
