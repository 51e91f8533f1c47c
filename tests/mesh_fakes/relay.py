"""A way for TCP that a test makes long, and breaks: bytes are held back, or connections are refused.

1. What is held arrives later, in order and whole, as what TCP sends again after a partition is over.
2. Each direction has its own delay, and may be held alone.
3. A connection's own handshake is not delayed: the other end of it is here. So that nobody finds a door open
   where nobody lives, connections are reset from the first one that cannot be passed on, until one can.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

_CHUNK: Final = 65_536
_HELD: Final = 1_024
"""Chunks of one direction that are on their way; then the sender waits, as with a full window."""
_DIALLING: Final = 1.0
_SEEKING: Final = 0.2
_AT_ONCE: Final = struct.pack("ii", 1, 0)


class Relay:
    """The way to `target` = (host, port); `there` and `back` are seconds that each direction takes."""

    def __init__(self, target: tuple[str, int], *, there: float = 0.0, back: float = 0.0) -> None:
        self.port = 0
        self._target = target
        self._there, self._back = _Direction(there), _Direction(back)
        self._refuses = False
        self._is_lost = False
        self._open: set[asyncio.StreamWriter] = set()

    def hold(self, *, there: bool = True, back: bool = True) -> None:
        """Nothing arrives any more in these directions, and nobody is told."""
        self._there.hold(held=there)
        self._back.hold(held=back)

    def refuse(self) -> None:
        """All connections are reset, and so is each new one."""
        self._refuses = True
        for one in self._open:
            _reset(one)

    def heal(self) -> None:
        """Everything works again; what was held goes on its way."""
        self._refuses = False
        self._there.hold(held=False)
        self._back.hold(held=False)

    async def serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        if self._refuses or self._is_lost:
            _reset(answers)
            return
        self._open.add(answers)
        try:
            server, far = await self._dial()
        except OSError:  # TimeoutError is one
            self._open.discard(answers)
            _reset(answers)
            await self._find()
            return
        self._open.add(far)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_carry(client, far, self._there))
                group.create_task(_carry(server, answers, self._back))
        except* OSError:
            pass  # both ends are told by what follows
        finally:
            for one in (answers, far):
                self._open.discard(one)
                one.close()

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(_DIALLING):
            return await asyncio.open_connection(*self._target)

    async def _find(self) -> None:
        """Law 3: until the target is there again."""
        if self._is_lost:
            return
        self._is_lost = True
        while self._is_lost:
            try:
                _, writer = await self._dial()
            except OSError:
                await asyncio.sleep(_SEEKING)
            else:
                writer.close()
                self._is_lost = False


class _Direction:
    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.passes = asyncio.Event()
        self.passes.set()

    def hold(self, *, held: bool) -> None:
        if held:
            self.passes.clear()
        else:
            self.passes.set()


@asynccontextmanager
async def relay(
    target: tuple[str, int], *, host: str = "127.0.0.1", there: float = 0.0, back: float = 0.0
) -> AsyncIterator[Relay]:
    """A relay that listens at `host` and a port of its own while the block runs."""
    made = Relay(target, there=there, back=back)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(made.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, host, 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: _Direction) -> None:
    """All bytes and the end after them, each `way.delay` after it came."""
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_HELD)
    now = asyncio.get_running_loop().time

    async def take() -> None:
        while data := await source.read(_CHUNK):
            await under_way.put((now() + way.delay, data))
        await under_way.put((now() + way.delay, b""))

    async def give() -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(due - now())
            await way.passes.wait()
            if not data:
                with suppress(OSError):
                    sink.write_eof()
                return
            sink.write(data)
            await sink.drain()

    async with asyncio.TaskGroup() as group:
        group.create_task(take())
        group.create_task(give())


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with RST rather than FIN."""
    taken = writer.get_extra_info("socket")
    with suppress(OSError):
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    writer.transport.abort()
