"""The dialling end of the controllers' stream and trust, against servers made by hand (ruling 1)."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest

from mesh_core.identity import Component
from mesh_core.names import ALPN_PEER
from mesh_core.objects.trust import Signed
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.members import Member, new_member
from mesh_fakes.raw_peer import HELLO, Json, packed
from mesh_fakes.waiting import until
from mesh_runtime.kube import IMPORTED_RECORDS, MESH_PEERS
from mesh_runtime.tls import server_context

pytestmark = pytest.mark.asyncio

RECORD = {
    "cluster": "west",
    "namespace": "demo",
    "name": "hello",
    "created": "2026-01-01T00:00:00Z",
    "ports": [{"port": 80}],
}


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


def message(east: Member) -> str:
    found = east.connected("west")
    return found.message if found is not None and found.reason == "Refused" else ""


def hello(**fields: object) -> Json:
    return {**HELLO, "cluster": "west", **fields}


def trust(statement: Signed) -> Json:
    return {"type": "trust", "statement": msgspec.to_builtins(statement)}


async def test_a_server_that_we_do_not_know_is_asked_for_nothing() -> None:
    clusterset = FakeClusterset()
    async with west(clusterset, hello()) as server:
        statement = clusterset.statement(1, roster=clusterset.roster("east"))
        async with dialling(clusterset, statement=statement, server=server) as east:
            await until(lambda: "does not know west at all" in message(east), limit=20)
            await until(lambda: bool(server.farewells()))
            assert "does not know west at all" in server.farewells()[0]
            assert server.kinds == {"hello", "bye"}, "neither our records' watch nor our texts"


@pytest.mark.parametrize(
    "more",
    [
        {"type": "mesh", "peers": ["south"]},
        {"type": "put", "revision": 1, "record": RECORD},
        {"type": "trustReport", "generation": 9},
        {"type": "synced", "epoch": "e", "revision": 1, "complete": True, "count": 0, "hash": ""},
    ],
    ids=lambda more: str(more["type"]),
)
async def test_a_server_that_we_do_not_know_may_say_nothing_but_trust(more: Json) -> None:
    clusterset = FakeClusterset()
    async with west(clusterset, hello(trustGeneration=5), more) as server:
        statement = clusterset.statement(1, roster=clusterset.roster("east"))
        async with dialling(clusterset, statement=statement, server=server) as east:
            await until(lambda: "does not know west at all" in message(east), limit=20)
            assert server.kinds <= {"hello", "bye"}
            assert not east.api.all(IMPORTED_RECORDS)
            peer = east.peer("west")
            assert peer is not None
            assert peer.status.trust is None


@pytest.mark.parametrize("known", [False, True])
async def test_only_a_server_that_is_believed_can_say_that_the_peer_has_left(known: bool) -> None:
    clusterset = FakeClusterset()
    bye = {"type": "bye", "reason": "farewell", "left": "2026-05-01T00:00:00Z"}
    async with west(clusterset, hello(trustGeneration=5), bye) as server:
        roster = clusterset.roster("east", "west") if known else clusterset.roster("east")
        statement = clusterset.statement(1, roster=roster)
        async with dialling(clusterset, statement=statement, server=server) as east:
            reason = "Left" if known else "Refused"
            await until(lambda: (found := east.connected("west")) is not None and found.reason == reason)
            assert known or "'farewell'" in message(east)


async def test_a_server_that_promises_newer_trust_and_sends_none_is_left_after_five_seconds() -> None:
    clusterset = FakeClusterset()
    async with west(clusterset, hello(trustGeneration=5)) as server:
        statement = clusterset.statement(1, roster=clusterset.roster("east"))
        async with dialling(clusterset, statement=statement, server=server) as east:
            await until(lambda: "does not know west at all" in message(east), limit=15)


async def test_a_server_that_sends_ever_new_texts_is_left_and_told_so_ruling_1() -> None:
    clusterset, forger = FakeClusterset(), FakeClusterset()
    forged = [trust(forger.statement(n, roster=clusterset.roster("west"))) for n in range(2, 30)]
    async with west(clusterset, hello(), *forged) as server:
        statement = clusterset.statement(1, roster=clusterset.roster("east", "west"))
        async with dialling(clusterset, statement=statement, server=server) as east:
            await until(lambda: "more than 8 texts of trust a minute" in message(east), limit=20)
            assert east.bundle.status.generation == 1
            assert "more than 8 texts of trust a minute" in server.farewells()[0]


async def test_a_client_passes_on_what_the_server_lacks_before_it_asks_for_records() -> None:
    clusterset = FakeClusterset()
    statement = clusterset.statement(4, roster=clusterset.roster("east", "west"))
    async with west(clusterset, hello(trustGeneration=3)) as server:
        async with dialling(clusterset, statement=statement, server=server) as east:
            await until(lambda: "watch" in server.kinds, limit=20)
            kinds = [one["type"] for one in server.heard]
            assert kinds[:3] == ["hello", "trust", "watch"]
            assert server.heard[1]["statement"]["text"] == statement.text
            assert server.heard[0]["trustGeneration"] == 4
            # What comes later goes to the server of a stream that stands, too.
            fifth = clusterset.statement(5, roster=clusterset.roster("east", "west"))
            east.trusts(fifth)
            await until(lambda: server.heard[-1].get("statement", {}).get("text") == fifth.text)


async def test_a_server_that_is_evicted_while_the_stream_stands_is_told_why() -> None:
    clusterset = FakeClusterset()
    statement = clusterset.statement(1, roster=clusterset.roster("east", "west"))
    async with west(clusterset, hello(trustGeneration=1)) as server:
        async with dialling(clusterset, statement=statement, server=server) as east:
            await until(lambda: "watch" in server.kinds, limit=20)
            refused = [clusterset.refused("west")]
            east.trusts(clusterset.statement(2, roster=clusterset.roster("east"), refused=refused))
            await until(lambda: bool(server.farewells()), limit=1)
            assert "west was evicted from the clusterset" in server.farewells()[0]
            await until(lambda: "west was evicted from the clusterset" in message(east))
