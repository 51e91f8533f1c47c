"""Dialling a peer's controller through our own gateway's inner door: TLS in TLS, on real sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from mesh_controller.peer_dial import dial_through_tunnel
from mesh_controller.peer_stream import PeerStream, StreamEnded
from mesh_core.identity import Component, Expected, domain
from mesh_core.names import ALPN_PEER
from mesh_core.objects import PeerGateway
from mesh_core.peer_wire import Ack, Mesh, Message, PeerProtocolError, Put, record_bytes
from mesh_core.trust import OPEN, ForeignTrust
from mesh_fakes.clusterset import FakeClusterset, identity
from mesh_fakes.exports import record
from mesh_fakes.gateways import on_both_loops
from mesh_fakes.inner_doors import Door, inner_door
from mesh_fakes.waiting import until
from mesh_runtime.leaf import Standing
from mesh_runtime.tls import PeerRefused, server_context, verify_peer

CLUSTERSET = FakeClusterset()
EAST = Standing(
    identity("east", Component.CONTROLLER),
    CLUSTERSET.credentials("east", Component.CONTROLLER),
    CLUSTERSET.roots,
)
MANY = 300


@dataclass(slots=True)
class Far:
    """The controller of west: sends a mesh and many puts, and keeps what it hears."""

    port: int = 0
    heard: list[Message] = field(default_factory=list)
    who: list[str] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = PeerStream(reader, writer)
        expected = Expected(domain=CLUSTERSET.domain, components=frozenset({Component.CONTROLLER}))
        self.who.append(verify_peer(stream.tls, expected=expected, trust=OPEN).identity.cluster)
        try:
            await stream.send((Mesh(peers=("east",)),))
            body = record_bytes(record("west"))
            await stream.send(
                Put(revision=number, record=body, signature="x" * 250) for number in range(MANY)
            )
            while True:
                self.heard += await stream.receive()
        except StreamEnded:
            self.ended.set()
        finally:
            await stream.close()


@asynccontextmanager
async def west() -> AsyncIterator[Far]:
    far = Far()
    credentials = CLUSTERSET.credentials("west", Component.CONTROLLER)
    context = server_context(credentials, roots=CLUSTERSET.roots, alpn=(ALPN_PEER,))
    server = await asyncio.start_server(far.talk, "127.0.0.1", 0, ssl=context)
    far.port = server.sockets[0].getsockname()[1]
    try:
        yield far
    finally:
        server.close()


async def dialled(door: Door) -> PeerStream:
    gateway = PeerGateway(host="127.0.0.1", port=door.port)
    return await dial_through_tunnel(gateway, cluster="west", standing=EAST)


@on_both_loops
async def test_the_two_controllers_speak_end_to_end_and_the_door_is_asked_for_the_peer() -> None:
    async with west() as far, inner_door(CLUSTERSET, "east", leads=lambda _: ("127.0.0.1", far.port)) as door:
        stream = await dialled(door)
        assert stream.tls.selected_alpn_protocol() == ALPN_PEER
        verify_peer(stream.tls, expected=Expected.exactly(identity("west", Component.CONTROLLER)), trust=OPEN)
        came: list[Message] = []
        while len(came) < MANY + 1:
            # A slow reader: what waits is held back on the way, and nothing is lost.
            await asyncio.sleep(0)
            came += await stream.receive()
            await stream.send((Ack(revision=len(came)),))
        assert isinstance(came[0], Mesh)
        assert [one.revision for one in came[1:] if isinstance(one, Put)] == list(range(MANY))
        await until(lambda: bool(far.heard) and far.heard[-1] == Ack(revision=MANY + 1))
        assert far.who == ["east"]
        assert door.asked == ["peer.west.clusterset.internal"]
        await stream.close(reason="done")
        await far.ended.wait()


@on_both_loops
async def test_where_no_tunnel_stands_the_door_closes_and_that_is_an_end_of_the_connection() -> None:
    async with inner_door(CLUSTERSET, "east", leads=lambda _: None) as door:
        for _ in range(3):
            with pytest.raises((ConnectionError, ssl.SSLEOFError)):
                await dialled(door)


@on_both_loops
async def test_whoever_answers_at_the_door_must_be_a_gateway_of_our_own_cluster() -> None:
    async with west() as far:

        def leads(_name: str) -> tuple[str, int]:
            return "127.0.0.1", far.port

        async with inner_door(CLUSTERSET, "west", leads=leads) as door:
            with pytest.raises(PeerRefused):
                await dialled(door)
        async with inner_door(CLUSTERSET, "east", leads=leads, component=Component.DNS) as door:
            with pytest.raises(PeerRefused):
                await dialled(door)
        async with inner_door(FakeClusterset(), "east", leads=leads) as door:
            with pytest.raises(PeerRefused):
                await dialled(door)
        assert not far.who, "nobody was led to the peer"


@on_both_loops
async def test_a_door_that_speaks_another_protocol_is_refused() -> None:
    async with inner_door(CLUSTERSET, "east", leads=lambda _: None, alpn="meshctl/1") as door:
        with pytest.raises((PeerProtocolError, ssl.SSLError)):
            await dialled(door)


@on_both_loops
async def test_a_tunnel_that_breaks_ends_the_stream() -> None:
    async with west() as far:
        async with inner_door(CLUSTERSET, "east", leads=lambda _: ("127.0.0.1", far.port)) as door:
            stream = await dialled(door)
            await stream.receive()
        with pytest.raises((StreamEnded, ssl.SSLError)):
            while True:
                await stream.receive()
        await stream.close(reason="gone")


@on_both_loops
async def test_a_peer_of_another_domain_is_asked_for_at_our_own_door_by_a_name_of_our_domain() -> None:
    theirs = domain("other.internal")
    agreed = ForeignTrust(domain=theirs, keys=frozenset(), roots=())
    standing = replace(EAST, trust=replace(OPEN, foreign={"west": agreed}))
    async with inner_door(CLUSTERSET, "east", leads=lambda _: None) as door:
        with pytest.raises((ConnectionError, ssl.SSLEOFError)):
            gateway = PeerGateway(host="127.0.0.1", port=door.port)
            await dial_through_tunnel(gateway, cluster="west", standing=standing)
        assert door.asked == ["peer.west.clusterset.internal"], "docs/wire.md: `<domain>` is our own"
