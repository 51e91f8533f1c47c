"""A connection at our door, before we know what it wants: reads its ClientHello and sends nothing."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import cast

from mesh_gateway.client_hello import ClientHelloReader, Hello, NeedMore, Refused


class Doorway(asyncio.Protocol):
    """Protocol of an accepted connection. When `hello` has returned a Hello, `transport` is paused and
    `received` holds all that came: the hello, and at most the rest of one read."""

    __slots__ = ("_accepted", "_answer", "_reader", "received", "transport")

    transport: asyncio.Transport

    def __init__(self, *, accepted: Callable[["Doorway"], None]) -> None:
        self.received = bytearray()
        self._accepted = accepted
        self._reader = ClientHelloReader()
        self._answer: asyncio.Future[Hello | Refused] = asyncio.get_running_loop().create_future()

    async def hello(self) -> Hello | Refused:
        """What the connection says first. The limit in time is the caller's."""
        return await self._answer

    @property
    def host(self) -> str:
        """The address that it comes from; "" when it is gone already."""
        if self.transport.is_closing():
            return ""  # it may have no socket any more
        peer = self.transport.get_extra_info("peername")
        return str(peer[0]) if peer else ""

    def close(self) -> None:
        """Closes the connection without a byte."""
        self.transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by duty, not by descent.
        self.transport = cast(asyncio.Transport, transport)
        self._accepted(self)

    def data_received(self, data: bytes) -> None:
        self.received += data
        reading = self._reader.feed(data)
        if not isinstance(reading, NeedMore):
            self.transport.pause_reading()
            self._say(reading)

    def connection_lost(self, exc: Exception | None) -> None:
        self._say(Refused("closed before its ClientHello was whole"))

    def _say(self, answer: Hello | Refused) -> None:
        if not self._answer.done():
            self._answer.set_result(answer)


def attended(door: Doorway, work: Coroutine[None, None, None], *, group: asyncio.TaskGroup) -> bool:
    """Whether `work` on the connection was begun in `group`; when that has ended, the connection is closed.

    The kernel may hand on a connection that it took while the gateway ends.
    """
    try:
        group.create_task(work)
    except RuntimeError:
        work.close()
        door.close()
        return False
    return True
