"""The dialling end of the controllers' stream and trust, against servers made by hand (ruling 1)."""

import msgspec
import pytest

from mesh_core.objects.trust import Signed
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.members import Member
from mesh_fakes.raw_peer import Json
from mesh_fakes.waiting import until
from mesh_fakes.west_by_hand import dialling, hello, west
from mesh_runtime.kube import IMPORTED_RECORDS

pytestmark = pytest.mark.asyncio

RECORD = {
    "cluster": "west",
    "namespace": "demo",
    "name": "hello",
    "created": "2026-01-01T00:00:00Z",
    "ports": [{"port": 80}],
}


def message(east: Member) -> str:
    found = east.connected("west")
    return found.message if found is not None and found.reason == "Refused" else ""


def trust(statement: Signed) -> Json:
    return {"type": "trust", "statement": msgspec.to_builtins(statement)}


async def test_a_server_that_we_do_not_know_is_asked_for_nothing() -> None:
    clusterset = FakeClusterset()
    async with west(clusterset, hello()) as server:
        statement = clusterset.statement(1, roster=clusterset.roster("east"))
        async with dialling(clusterset, statement=statement, server=server) as east:
            await until(lambda: "does not know west at all" in message(east), limit=90)
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
            await until(lambda: "does not know west at all" in message(east), limit=90)
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
            await until(lambda: "does not know west at all" in message(east), limit=90)


async def test_a_server_that_sends_ever_new_texts_is_left_and_told_so_ruling_1() -> None:
    clusterset, forger = FakeClusterset(), FakeClusterset()
    forged = [trust(forger.statement(n, roster=clusterset.roster("west"))) for n in range(2, 30)]
    async with west(clusterset, hello(), *forged) as server:
        statement = clusterset.statement(1, roster=clusterset.roster("east", "west"))
        async with dialling(clusterset, statement=statement, server=server) as east:
            await until(lambda: "more than 8 texts of trust a minute" in message(east), limit=90)
            assert east.bundle.status.generation == 1
            assert "more than 8 texts of trust a minute" in server.farewells()[0]


async def test_a_client_passes_on_what_the_server_lacks_before_it_asks_for_records() -> None:
    clusterset = FakeClusterset()
    statement = clusterset.statement(4, roster=clusterset.roster("east", "west"))
    async with west(clusterset, hello(trustGeneration=3)) as server:
        async with dialling(clusterset, statement=statement, server=server) as east:
            await until(lambda: "watch" in server.kinds, limit=90)
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
            await until(lambda: "watch" in server.kinds, limit=90)
            refused = [clusterset.refused("west")]
            east.trusts(clusterset.statement(2, roster=clusterset.roster("east"), refused=refused))
            await until(lambda: bool(server.farewells()), limit=1)
            assert "west was evicted from the clusterset" in server.farewells()[0]
            await until(lambda: "west was evicted from the clusterset" in message(east))
