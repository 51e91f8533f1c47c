"""Programs behind a service, as small as they can be."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from mesh_fakes.gateways import LOOPBACK
from mesh_gateway.route import Address

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def backend(talk: Conversation, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Address]:
    """A server that has `talk` with each connection, inside TLS when there is some, and closes it then."""
    writers: set[asyncio.StreamWriter] = set()
    idle = asyncio.Event()

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            await talk(reader, writer)
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            writers.discard(writer)
            idle.set()

    server = await asyncio.start_server(attend, LOOPBACK, 0, ssl=tls)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield Address(host, port)
    finally:
        server.close()
        for writer in tuple(writers):
            writer.transport.abort()
        while writers:
            idle.clear()
            await idle.wait()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back what comes, as it comes."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def count_then_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with the number of bytes only when the client has ended its way."""
    total = 0
    while data := await reader.read(65536):
        total += len(data)
    writer.write(b"%d bytes" % total)
    await writer.drain()


def saying(text: bytes) -> Conversation:
    """A server that says `text` at once, then waits for the client's end."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()
        await reader.read()

    return talk
