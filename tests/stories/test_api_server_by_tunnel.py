"""A member's API server by the tunnel that the member dialled: for the hub's access proxy and nobody else.

Whole gateways of a hub (west), of a member that lets it in (east) and of another member (north); behind
east's an API server with a CA of its own.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from mesh_core.identity import Component, cluster_id
from mesh_core.names import ALPN_INNER, ALPN_PEER, ALPN_STREAM, ALPN_TUNNEL, INNER_PORT
from mesh_core.objects import PeerGateway
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.clusterset import FakeClusterset, identity
from mesh_fakes.gateways import free_port, leaf_of, on_both_loops
from mesh_fakes.membership import FakeMembership
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_fakes.whole_gateways import whole_gateway
from mesh_gateway.gateway import Gateway
from mesh_gateway.route import Address
from mesh_gateway.watch import Bounds
from mesh_placement.way.tunnel import NotItsApiServer, NoTunnel, connect_by_tunnel
from mesh_placement.way.tunnels import Tunnels
from mesh_runtime.kube import MESH_PEERS, KubeClient
from mesh_runtime.leaf import Standing
from mesh_runtime.tls import Credentials, PeerRefused, client_context, unasking_context

API_CA = FakeClusterset()
API_NAME = "client.api.clusterset.internal"
"""What the certificate of east's API server says; no name of the mesh."""
# Whoever runs this test beside us has other loopback addresses: the inner door's port is always the same.
HOSTS = {name: f"127.{20 + os.getpid() % 200}.7.{n}" for n, name in enumerate(("west", "east", "north"), 2)}


@dataclass
class ApiServer:
    """HTTP as an API server speaks it, over TLS that only the client of the tunnel's far end can open."""

    address: Address = field(default_factory=lambda: Address("127.0.0.1", free_port()))
    heard: list[str] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heard.append(head.split("\r\n")[0])
                if "Upgrade:" in head:
                    writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
                    while data := await reader.read(1 << 16):
                        writer.write(data.upper())
                    break
                writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"minor": "33"}\n')
        writer.close()


@dataclass
class Cluster:
    """One cluster with its gateway."""

    name: str
    door: Address
    kube: KubeClient
    gateway: Gateway
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def tunnels_to(self, cluster: str) -> int:
        return sum(one.is_open for one in self.gateway.tunnels.all() if one.cluster == cluster)

    async def knows(self, peer: str, *, at: Address | None = None, access: list[str] | None = None) -> None:
        """Writes a MeshPeer; a peer without an address is waited for."""
        spec: dict[str, object] = {"dial": "inbound"}
        if at is not None:
            spec = {"dial": "outbound", "gateways": [{"host": at.host, "port": at.port}]}
        body = {"metadata": {"name": peer}, "spec": spec | ({} if access is None else {"access": access})}
        await self.kube.apply(MESH_PEERS, body, field_manager="test")


@dataclass
class World:
    """The three clusters, and what the hub's access proxy shows."""

    clusterset: FakeClusterset
    west: Cluster
    east: Cluster
    north: Cluster
    api: ApiServer

    def standing(self, *, cluster: str = "west", component: Component = Component.ACCESS) -> Standing:
        credentials = self.clusterset.credentials(cluster, component)
        return Standing(identity(cluster, component), credentials, self.clusterset.roots)

    async def dial(
        self,
        cluster: str = "east",
        *,
        by: str = "west",
        standing: Standing | None = None,
        ca: tuple[str, ...] = API_CA.roots,
    ) -> "Client":
        transport, client = await connect_by_tunnel(
            Client,
            door=PeerGateway(host=HOSTS[by], port=INNER_PORT),
            cluster=cluster,
            standing=standing or self.standing(cluster=by),
            inner=ssl.create_default_context(cadata="\n".join(ca)),
            server_name=API_NAME,
        )
        assert client.transport is transport
        return client

    async def consent(self, *access: str) -> None:
        """What east lets west reach from now on."""
        await self.east.knows("west", at=self.west.door, access=list(access))
        await until(lambda: self.consented() == frozenset(access))

    def consented(self) -> frozenset[str]:
        table = self.east.gateway.table
        return frozenset() if table is None else table.consents.get(cluster_id("west"), frozenset())


class Client(asyncio.Protocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.came = b""
        self.is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert self.transport is None, "connected once"
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None, "bytes come after the connection"
        self.came += data

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_over = True

    async def says(self, text: bytes, *, until_came: bytes) -> bytes:
        assert self.transport is not None
        self.transport.write(text)
        await until(lambda: until_came in self.came)
        came, self.came = self.came, b""
        return came

    def abort(self) -> None:
        assert self.transport is not None
        self.transport.abort()


@asynccontextmanager
async def cluster(
    clusterset: FakeClusterset, name: str, *, api_server: tuple[Address, ...] = ()
) -> AsyncIterator[Cluster]:
    api = FakeApiServer()
    door = Address(HOSTS[name], free_port())
    gateway, watches = whole_gateway(
        api.client(),
        door=door,
        leaf=leaf_of(clusterset, name),
        membership=FakeMembership(clusterset.membership(name)),
        bounds=Bounds(api_server=api_server),
    )
    here = Cluster(name, door, api.client(), gateway)
    async with under_way(watches.run(changed=gateway.changed), gateway.run(stop=here.stop)):
        await until(lambda: gateway.is_ready)
        yield here


@asynccontextmanager
async def world(*, consents: bool = True) -> AsyncIterator[World]:
    clusterset, api = FakeClusterset(), ApiServer()
    server_side = unasking_context(API_CA.credentials("api", Component.CLIENT), alpn=())
    async with AsyncExitStack() as stack:
        server = await asyncio.start_server(api.talk, api.address.host, api.address.port, ssl=server_side)
        stack.callback(server.close)
        west = await stack.enter_async_context(cluster(clusterset, "west"))
        east = await stack.enter_async_context(cluster(clusterset, "east", api_server=(api.address,)))
        north = await stack.enter_async_context(cluster(clusterset, "north"))
        for hub in (west, north):
            await hub.knows("east")
            await east.knows(hub.name, at=hub.door)
        there = World(clusterset, west, east, north, api)
        if consents:
            await there.consent("kube-apiserver")
        await until(lambda: west.tunnels_to("east") > 0 and north.tunnels_to("east") > 0)
        yield there


async def gets_nothing(
    host: str, port: int, *, name: str, alpn: str, shown: Credentials | None, roots: tuple[str, ...]
) -> bool:
    """Whether a TLS client with that certificate, or none, gets a closed connection and no byte."""
    if shown is not None:
        tls = client_context(shown, roots=roots, alpn=[alpn])
    else:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        tls.set_alpn_protocols([alpn])
    try:
        reader, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=name)
        writer.write(b"GET /version HTTP/1.1\r\n\r\n")
        came = await reader.read(1)
        writer.transport.abort()
    except (ConnectionError, ssl.SSLError):
        return True
    return came == b""


@on_both_loops
async def test_the_hubs_access_proxy_speaks_with_a_members_api_server_end_to_end() -> None:
    async with world() as there:
        client = await there.dial()
        tls = client.transport.get_extra_info("ssl_object") if client.transport else None
        assert isinstance(tls, ssl.SSLObject)
        assert tls.server_hostname == API_NAME
        for _ in range(2):  # one connection carries one request after another
            answer = await client.says(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n", until_came=b"}\n")
            assert answer.startswith(b"HTTP/1.1 200 OK")
        assert there.api.heard == ["GET /version HTTP/1.1"] * 2
        client.abort()
        await until(lambda: not there.east.gateway.traffic.admitted)


@on_both_loops
async def test_an_upgraded_connection_carries_bytes_both_ways() -> None:
    async with world() as there:
        client = await there.dial()
        upgrade = b"POST /exec HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
        assert b" 101 " in await client.says(upgrade, until_came=b"\r\n\r\n")
        for size in (1, 70_000, 300_000):
            assert await client.says(b"a" * size + b".", until_came=b".") == b"A" * size + b"."
        client.abort()


@on_both_loops
async def test_consent_that_is_withdrawn_ends_what_is_open_and_lets_nothing_more_through() -> None:
    async with world() as there:
        client = await there.dial()
        await client.says(b"GET /version HTTP/1.1\r\n\r\n", until_came=b"}\n")
        await there.consent()
        await until(lambda: client.is_over)
        with pytest.raises(NoTunnel, match="no tunnel leads to the API server of east"):
            await there.dial()
        assert there.west.tunnels_to("east") > 0, "the tunnel itself goes on"
        await there.consent("kube-apiserver")
        (await there.dial()).abort()


@on_both_loops
async def test_a_member_that_never_consented_is_not_reached() -> None:
    async with world(consents=False) as there:
        with pytest.raises(NoTunnel) as told:
            await there.dial()
        assert "spec.access: [kube-apiserver]" in told.value.next_step
        assert isinstance(told.value, ConnectionError), "an HTTP client understands it"
        assert not there.api.heard


@on_both_loops
async def test_another_member_than_the_hub_is_refused_whatever_its_access_proxy_asks() -> None:
    async with world() as there:
        with pytest.raises(NoTunnel):
            await there.dial(by="north")
        (await there.dial()).abort()


@on_both_loops
async def test_every_other_component_of_the_hub_is_refused_at_the_door() -> None:
    async with world() as there:
        for component in Component:
            if component is not Component.ACCESS:
                with pytest.raises(NoTunnel):
                    await there.dial(standing=there.standing(component=component))
        assert not there.api.heard


@on_both_loops
async def test_another_clusters_access_proxy_is_refused_at_the_hubs_door() -> None:
    async with world() as there:
        posing = replace(
            there.standing(), credentials=there.clusterset.credentials("north", Component.ACCESS)
        )
        with pytest.raises(NoTunnel):
            await there.dial(standing=posing)
        assert not there.api.heard


@on_both_loops
async def test_an_ordinary_pod_of_the_hub_gets_nothing_from_any_port_of_its_gateway() -> None:
    async with world() as there:
        for reserved in ("peer", "kube-apiserver"):
            for alpn in (ALPN_INNER, ALPN_STREAM, ALPN_TUNNEL, ALPN_PEER, "http/1.1"):
                for port in (INNER_PORT, there.west.door.port):
                    name = f"{reserved}.east.clusterset.internal"
                    assert await gets_nothing(
                        HOSTS["west"], port, name=name, alpn=alpn, shown=None, roots=()
                    ), (name, alpn, port)
        assert not there.api.heard


@on_both_loops
async def test_the_members_own_port_for_peers_leads_nobody_to_its_api_server() -> None:
    async with world() as there:
        name = "kube-apiserver.east.clusterset.internal"
        for component in (Component.ACCESS, Component.GATEWAY, Component.CONTROLLER):
            for alpn in (ALPN_INNER, ALPN_STREAM, ALPN_TUNNEL, ALPN_PEER):
                assert await gets_nothing(
                    HOSTS["east"],
                    there.east.door.port,
                    name=name,
                    alpn=alpn,
                    shown=there.clusterset.credentials("west", component),
                    roots=there.clusterset.roots,
                )
        assert not there.api.heard


@on_both_loops
async def test_whoever_answers_at_either_end_must_prove_it() -> None:
    async with world() as there:
        with pytest.raises(NotItsApiServer, match="east is not believed"):
            await there.dial(ca=there.clusterset.roots)
        foreign = FakeClusterset()
        credentials = foreign.credentials("west", Component.ACCESS)
        stranger = Standing(identity("west", Component.ACCESS), credentials, foreign.roots)
        with pytest.raises(PeerRefused):
            await there.dial(standing=stranger)
        assert not there.api.heard


@on_both_loops
async def test_a_hub_dials_with_the_certificate_of_the_moment_and_says_when_it_has_none() -> None:
    async with world() as there:
        leaf = leaf_of(there.clusterset, "west", component=Component.ACCESS)
        tunnels = Tunnels(leaf, door=PeerGateway(host=HOSTS["west"], port=INNER_PORT))
        inner = ssl.create_default_context(cadata="\n".join(API_CA.roots))
        _, client = await tunnels(Client, cluster="east", inner=inner, server_name=API_NAME)
        client.abort()
        leaf.current = None
        with pytest.raises(NoTunnel, match="no certificate of a clusterset"):
            await tunnels(Client, cluster="east", inner=inner, server_name=API_NAME)


@on_both_loops
async def test_without_any_tunnel_or_any_gateway_it_says_so() -> None:
    async with world() as there:
        with pytest.raises(NoTunnel, match="API server of south"):
            await there.dial("south")
        there.west.stop.set()
        await until(lambda: not there.west.gateway.is_ready)
