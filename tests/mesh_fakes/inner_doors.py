"""The inner door of a gateway as its controller meets it: TLS outside, and inside it bytes that go elsewhere.

A tunnel is played by a plain connection: what happens in one is the business of other tests.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from mesh_core.identity import Component
from mesh_core.names import ALPN_INNER
from mesh_fakes.clusterset import FakeClusterset
from mesh_runtime.tls import server_context

Leads = Callable[[str], tuple[str, int] | None]
"""Server name to the address that a tunnel ends at; None where no tunnel stands."""


@dataclass(slots=True)
class Door:
    """Where it answers, and the server names that were asked for."""

    port: int
    asked: list[str] = field(default_factory=list)


@asynccontextmanager
async def inner_door(
    clusterset: FakeClusterset,
    cluster: str,
    *,
    leads: Leads,
    component: Component = Component.GATEWAY,
    alpn: str = ALPN_INNER,
) -> AsyncIterator[Door]:
    """The door of the gateway of `cluster`, or of whoever else is said to answer there."""
    context = server_context(clusterset.credentials(cluster, component), roots=clusterset.roots, alpn=(alpn,))
    asked: list[str] = []
    context.sni_callback = lambda _tls, name, _context: asked.append(name or "")
    tasks: set[asyncio.Task[None]] = set()

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            where = leads(asked[-1])
            if where is not None:
                await _join(reader, writer, where=where)
        except asyncio.CancelledError:
            pass  # the end of the test; Python 3.11 would complain of a cancelled connection
        finally:
            writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(attend, "127.0.0.1", 0, ssl=context)
    try:
        yield Door(server.sockets[0].getsockname()[1], asked)
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _join(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, where: tuple[str, int]
) -> None:
    far_reader, far_writer = await asyncio.open_connection(*where)
    try:
        async with asyncio.TaskGroup() as group:
            ways = [
                group.create_task(_carry(reader, far_writer)),
                group.create_task(_carry(far_reader, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
    finally:
        far_writer.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
