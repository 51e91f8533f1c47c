"""A server of the controllers' stream that says what a test wants, and a member that dials it."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mesh_core.identity import Component
from mesh_core.names import ALPN_PEER
from mesh_core.objects.trust import Signed
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.members import Member, new_member
from mesh_fakes.raw_peer import HELLO, Json, packed
from mesh_runtime.kube import MESH_PEERS
from mesh_runtime.tls import server_context


@dataclass(slots=True)
class Server:
    """West's controller, which does what a test says; `heard` is all that it was told."""

    port: int
    heard: list[Json] = field(default_factory=list)

    @property
    def kinds(self) -> set[str]:
        return {str(message["type"]) for message in self.heard}

    def farewells(self) -> list[str]:
        return [message["reason"] for message in self.heard if message["type"] == "bye"]


@asynccontextmanager
async def west(clusterset: FakeClusterset, *said: Json) -> AsyncIterator[Server]:
    """Says `said` to everybody who dials, and listens until the other end closes."""
    shown = clusterset.credentials("west", Component.CONTROLLER)
    context = server_context(shown, roots=clusterset.roots, alpn=(ALPN_PEER,))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"".join(packed(message) for message in said))
            while True:
                (length,) = struct.unpack(">I", await reader.readexactly(4))
                found.heard.append(json.loads(await reader.readexactly(length)))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    found = Server(server.sockets[0].getsockname()[1])
    try:
        yield found
    finally:
        server.close()


@asynccontextmanager
async def dialling(clusterset: FakeClusterset, *, statement: Signed, server: Server) -> AsyncIterator[Member]:
    """East, which knows west at that server."""
    east = new_member("east", clusterset=clusterset, statement=statement)
    async with east.running():
        gateways = [{"host": "127.0.0.1", "port": server.port}]
        east.api.put(MESH_PEERS, {"metadata": {"name": "west"}, "spec": {"gateways": gateways}})
        yield east


def hello(**fields: object) -> Json:
    return {**HELLO, "cluster": "west", **fields}
