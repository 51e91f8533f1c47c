"""A caller of the controllers' stream who says what a test wants, byte by byte: struct and json over TLS."""

import asyncio
import json
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from mesh_core.names import ALPN_PEER
from mesh_fakes.members import Member
from mesh_runtime.tls import Credentials, client_context

# A JSON object: its values are whatever JSON has, hence Any.
Json = dict[str, Any]
HELLO: Json = {"type": "hello", "version": 1, "cluster": "east"}
WATCH: Json = {"type": "watch", "epoch": "", "revision": 0}


def packed(message: Json) -> bytes:
    """One frame."""
    body = json.dumps(message).encode()
    return struct.pack(">I", len(body)) + body


@dataclass(slots=True)
class Caller:
    """A connection that reads and writes frames with struct and json."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, *messages: Json) -> None:
        self.writer.write(b"".join(packed(message) for message in messages))

    async def hear(self) -> Json:
        async with asyncio.timeout(60):
            (length,) = struct.unpack(">I", await self.reader.readexactly(4))
            found: Json = json.loads(await self.reader.readexactly(length))
            return found

    async def hear_until(self, kind: str) -> list[Json]:
        """Everything up to the first message of that type."""
        found = [await self.hear()]
        while found[-1]["type"] != kind:
            found.append(await self.hear())
        return found

    async def is_closed(self) -> bool:
        """Whether the server ends it, saying nothing more."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read() == b""
            except (ConnectionError, ssl.SSLError):
                return True


@asynccontextmanager
async def call(member: Member, context: ssl.SSLContext) -> AsyncIterator[Caller]:
    """A connection to the controller of `member`, until the block ends."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        member.port,
        ssl=context,
        server_hostname=f"peer.{member.name}.{member.clusterset.domain}",
    )
    try:
        yield Caller(reader, writer)
    finally:
        writer.transport.abort()


def context_of(shown: Credentials, *, of: Member, alpn: str = ALPN_PEER) -> ssl.SSLContext:
    """What a caller shows to `of`."""
    return client_context(shown, roots=of.clusterset.roots, alpn=(alpn,) if alpn else ())


async def until_listening(member: Member) -> None:
    """Until its controller accepts connections."""
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", member.port)
            except ConnectionError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return
