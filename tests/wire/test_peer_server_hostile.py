"""The server of the controllers' stream against whoever may come: real TLS, bytes made by hand."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mesh_controller.peer_stream import PeerStream, StreamEnded
from mesh_core.identity import Component
from mesh_core.names import ALPN_PEER
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.members import Member, new_member
from mesh_fakes.raw_peer import HELLO, WATCH, call, packed, until_listening
from mesh_runtime.tls import Credentials, client_context

pytestmark = pytest.mark.asyncio

CLUSTERSET = FakeClusterset()


def credentials(component: Component = Component.CONTROLLER, *, cluster: str = "east") -> Credentials:
    return CLUSTERSET.credentials(cluster, component)


@asynccontextmanager
async def served() -> AsyncIterator[Member]:
    """The cluster west, whose controller serves its one export."""
    west = new_member("west", clusterset=CLUSTERSET)
    west.service()
    west.endpoints("10.2.0.1")
    west.export()
    async with west.running():
        await until_listening(west)
        yield west


async def until_headless(west: Member) -> None:
    """Until a peer that asks now is told of a headless Service, with its shard."""
    async with asyncio.timeout(60):
        while True:
            async with call(west, context_of(credentials())) as peer:
                peer.say({**HELLO, "features": ["shards"]}, WATCH)
                if len(await peer.hear_until("synced")) == 6:
                    return


def context_of(shown: Credentials, *, alpn: str = ALPN_PEER) -> ssl.SSLContext:
    return client_context(shown, roots=CLUSTERSET.roots, alpn=(alpn,) if alpn else ())


async def is_served(west: Member) -> bool:
    """Whether a peer that keeps to the protocol gets its list."""
    async with call(west, context_of(credentials())) as peer:
        peer.say(HELLO, WATCH)
        messages = await peer.hear_until("synced")
    kinds = [message["type"] for message in messages]
    return kinds == ["hello", "mesh", "signer", "put", "synced"] and messages[3]["record"]["name"] == "hello"


async def test_a_peer_gets_hello_the_list_and_then_every_change() -> None:
    async with served() as west, call(west, context_of(credentials())) as peer:
        peer.say(HELLO, WATCH)
        hello, mesh, signer, put, synced = await peer.hear_until("synced")
        assert mesh["peers"] == []
        assert hello["network"] == ""
        assert [pem.splitlines()[0] for pem in signer["chain"]] == ["-----BEGIN CERTIFICATE-----"] * 2
        assert put["signature"]
        assert (hello["version"], hello["cluster"]) == (1, "west")
        assert (hello["trustGeneration"], hello["trustRevision"]) == (0, 0), "nobody signed anything"
        assert len(hello["trustRoot"]) == 64
        assert hello["kubeSystemUid"] == "west-kube-system"
        (port,) = put["record"]["ports"]
        assert (port["name"], port["port"], port["ready"]) == ("http", 80, 1)
        assert (synced["complete"], synced["count"]) == (True, 1)
        west.endpoints("10.2.0.1", "10.2.0.2")
        change = (await peer.hear_until("put"))[-1]
        assert change["record"]["ports"][0]["ready"] == 2
        assert change["revision"] > synced["revision"]
        west.unexport()
        drop = (await peer.hear_until("drop"))[-1]
        assert (drop["namespace"], drop["name"]) == ("demo", "hello")


async def test_one_endpoint_of_a_headless_service_costs_one_shard_and_its_record_only_for_a_count() -> None:
    async with served() as west, call(west, context_of(credentials())) as peer:
        west.service(clusterIP="None")
        await until_headless(west)
        peer.say({**HELLO, "features": ["shards", "weather"]}, WATCH)
        _hello, _mesh, _signer, record, shard, _synced = await peer.hear_until("synced")
        assert "shard" not in record["record"]
        name = shard["record"]["shard"]
        assert shard["record"]["endpoints"] == [{"address": "10.2.0.1"}]
        west.endpoints("10.2.0.2")
        change = await peer.hear()
        assert change["record"]["shard"] == name
        assert change["record"]["endpoints"] == [{"address": "10.2.0.2"}]
        west.endpoints("10.2.0.2", ready=False)
        shard, record = await peer.hear(), await peer.hear()
        assert shard["record"]["endpoints"] == [{"address": "10.2.0.2", "ready": False, "serving": False}]
        assert record["record"]["ports"] == [{"name": "http", "port": 80}]
        west.unexport()
        drops = [await peer.hear(), await peer.hear()]
        assert [drop.get("shard", "") for drop in drops] == ["", name]


async def test_a_peer_that_knows_no_shards_is_told_of_none() -> None:
    async with served() as west, call(west, context_of(credentials())) as peer:
        west.service(clusterIP="None")
        await until_headless(west)
        peer.say(HELLO, WATCH)
        messages = await peer.hear_until("synced")
        assert [message["type"] for message in messages] == ["hello", "mesh", "signer", "put", "synced"]
        assert messages[-1]["count"] == 1
        west.endpoints("10.2.0.1", "10.2.0.2")
        assert "shard" not in (await peer.hear())["record"]


async def test_a_peer_that_comes_back_gets_only_what_it_missed() -> None:
    async with served() as west:
        async with call(west, context_of(credentials())) as peer:
            peer.say(HELLO, WATCH)
            synced = (await peer.hear_until("synced"))[-1]
        position = {"epoch": synced["epoch"], "revision": synced["revision"]}
        async with call(west, context_of(credentials())) as peer:
            peer.say(HELLO, {"type": "watch", **position})
            messages = await peer.hear_until("synced")
            assert [message["type"] for message in messages] == ["hello", "mesh", "synced"]
            assert messages[-1]["complete"] is False


async def test_without_a_certificate_nobody_hears_anything() -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ALPN_PEER])
    async with served() as west:
        try:
            async with call(west, context) as caller:
                caller.say(HELLO, WATCH)
                assert await caller.is_closed()
        except (ssl.SSLError, ConnectionError):
            pass
        assert await is_served(west)


async def test_a_certificate_of_another_root_is_worth_nothing() -> None:
    stranger = FakeClusterset().credentials("east", Component.CONTROLLER)
    async with served() as west:
        async with call(west, context_of(stranger)) as caller:
            caller.say(HELLO, WATCH)
            assert await caller.is_closed()
        assert await is_served(west)


async def test_older_tls_is_refused() -> None:
    context = context_of(credentials())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with served() as west:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with call(west, context):
                pass


@pytest.mark.parametrize("component", [Component.GATEWAY, Component.DNS, Component.CLIENT])
async def test_only_controllers_may_ask(component: Component) -> None:
    async with served() as west, call(west, context_of(credentials(component))) as caller:
        caller.say(HELLO, WATCH)
        assert (await caller.hear())["type"] == "bye"
        assert await caller.is_closed()


async def test_our_own_identity_is_no_peer() -> None:
    shown = credentials(cluster="west")
    async with served() as west, call(west, context_of(shown)) as caller:
        caller.say({**HELLO, "cluster": "west"}, WATCH)
        assert (await caller.hear())["type"] == "bye"


async def test_who_does_not_name_the_protocol_is_refused() -> None:
    async with served() as west, call(west, context_of(credentials(), alpn="")) as caller:
        caller.say(HELLO, WATCH)
        assert "meshctl-peer/1" in (await caller.hear())["reason"]


WRONG: dict[str, list[bytes]] = {
    "another cluster than the certificate's": [packed({**HELLO, "cluster": "north"}), packed(WATCH)],
    "another version": [packed({**HELLO, "version": 2}), packed(WATCH)],
    "watch before hello": [packed(WATCH), packed(HELLO)],
    "hello twice": [packed(HELLO), packed(HELLO)],
    "a frame that is too long": [struct.pack(">I", 1 << 30)],
    "a frame of nothing": [struct.pack(">I", 0)],
    "noise": [b"GET / HTTP/1.1\r\n\r\n"],
    "nested JSON": [struct.pack(">I", 90_000) + b"[" * 90_000],
    "a record of its own": [
        packed(HELLO),
        packed(WATCH),
        packed({"type": "put", "revision": 1, "record": {}}),
    ],
    "a drop": [
        packed(HELLO),
        packed(WATCH),
        packed({"type": "drop", "revision": 1, "namespace": "demo", "name": "hello"}),
    ],
}


@pytest.mark.parametrize("said", WRONG.values(), ids=WRONG)
async def test_who_breaks_the_protocol_is_told_so_and_closed_and_others_are_served(said: list[bytes]) -> None:
    async with served() as west:
        async with call(west, context_of(credentials())) as caller:
            caller.writer.write(b"".join(said))
            bye = (await caller.hear_until("bye"))[-1]
            assert 0 < len(bye["reason"]) <= 1000
            assert await caller.is_closed()
        assert await is_served(west)


async def test_messages_of_a_newer_version_are_skipped() -> None:
    async with served() as west, call(west, context_of(credentials())) as peer:
        peer.say(HELLO, {"type": "weather", "wind": 3}, {**WATCH, "mood": "good"})
        assert (await peer.hear_until("synced"))[-1]["complete"]
        peer.say({"type": "weather"}, {"type": "ack", "revision": 1})
        west.endpoints("10.2.0.1", "10.2.0.2")
        assert (await peer.hear_until("put"))[-1]["revision"] > 1


async def test_a_peer_that_says_farewell_is_let_go() -> None:
    async with served() as west, call(west, context_of(credentials())) as peer:
        peer.say(HELLO, WATCH)
        await peer.hear_until("synced")
        peer.say({"type": "bye", "reason": "enough"})
        assert await peer.is_closed()


@pytest.mark.looptime
async def test_a_silent_peer_is_given_up_after_three_heartbeats() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with theirs:
        reader, writer = await asyncio.open_connection(sock=ours)
        began = loop.time()
        with pytest.raises(StreamEnded, match="15 s"):
            await PeerStream(reader, writer).receive()
        assert loop.time() - began == pytest.approx(15, abs=0.1)
        writer.close()
        await writer.wait_closed()
