"""A real API server by the tunnel that its cluster dialled: requests, a watch, and consent as a real object.

The member is the light cluster, whose gateway in this process follows its MeshPeers; the hub is another.
"""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from mesh_core.identity import Component
from mesh_core.names import INNER_PORT
from mesh_core.objects import PeerGateway
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.bed import Bed
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import free_port, leaf_of
from mesh_fakes.membership import FakeMembership
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_fakes.whole_gateways import whole_gateway
from mesh_gateway.gateway import Gateway
from mesh_gateway.route import Address
from mesh_gateway.watch import Bounds
from mesh_placement.way.tunnel import NoTunnel
from mesh_placement.way.tunnels import Tunnels
from mesh_runtime.kube import CONFIG_MAPS, MESH_PEERS, KubeClient

pytestmark = pytest.mark.asyncio

HUB, MEMBER = "127.5.0.2", "127.5.0.3"
NAME = "kubernetes.default.svc"


@dataclass
class Way:
    """A hub, linked with the light cluster, and what its access proxy has."""

    hub: Gateway
    kube: KubeClient
    door: Address
    tunnels: Tunnels
    access: ssl.SSLContext

    async def consent(self, *access: str) -> None:
        ways = [{"host": self.door.host, "port": self.door.port}]
        spec = {"dial": "outbound", "gateways": ways, "access": list(access)}
        await self.kube.apply(MESH_PEERS, {"metadata": {"name": "hub"}, "spec": spec}, field_manager="test")

    async def dialled(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the API server, as soon as the gateways have seen the consent."""
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()

        def protocol() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(reader)

        async with asyncio.timeout(120):
            while True:
                try:
                    transport, made = await self.tunnels(
                        protocol, cluster="alone", inner=self.access, server_name=NAME
                    )
                except NoTunnel:
                    continue
                return reader, asyncio.StreamWriter(transport, made, reader, loop)


def access_of(kubeconfig: Path, *, folder: Path) -> tuple[ssl.SSLContext, Address]:
    """TLS as the cluster's administrator, by its own CA and for its own name; and where its API server is."""
    config = yaml.safe_load(kubeconfig.read_text())
    names = next(one["context"] for one in config["contexts"] if one["name"] == "alone")
    server = next(one["cluster"] for one in config["clusters"] if one["name"] == names["cluster"])
    user = next(one["user"] for one in config["users"] if one["name"] == names["user"])
    ca = base64.b64decode(server["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=ca)
    shown = folder / "shown.pem"
    shown.write_bytes(
        b"".join(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key"))
    )
    context.load_cert_chain(shown)
    shown.unlink()
    where = urlsplit(server["server"])
    assert where.hostname and where.port
    return context, Address(where.hostname, where.port)


@asynccontextmanager
async def way(light: Bed, *, folder: Path) -> AsyncIterator[Way]:
    clusterset, fake = FakeClusterset(), FakeApiServer()
    access, api_server = access_of(light.kubeconfig, folder=folder)
    doors = Address(HUB, free_port()), Address(MEMBER, free_port())
    async with light.client("alone") as kube:
        hub, hub_watches = whole_gateway(
            fake.client(),
            door=doors[0],
            leaf=leaf_of(clusterset, "hub"),
            membership=FakeMembership(clusterset.membership("hub")),
        )
        member, watches = whole_gateway(
            kube,
            door=doors[1],
            leaf=leaf_of(clusterset, "alone"),
            membership=FakeMembership(clusterset.membership("alone")),
            bounds=Bounds(api_server=(api_server,)),
        )
        tunnels = Tunnels(
            leaf_of(clusterset, "hub", component=Component.ACCESS),
            door=PeerGateway(host=HUB, port=INNER_PORT),
        )
        peer = {"metadata": {"name": "alone"}, "spec": {"dial": "inbound"}}
        await fake.client().create(MESH_PEERS, peer)
        stop = asyncio.Event()
        runs = [
            *(one.run(stop=stop) for one in (hub, member)),
            hub_watches.run(changed=hub.changed),
            watches.run(changed=member.changed),
        ]
        try:
            async with under_way(*runs):
                yield Way(hub, kube, doors[0], tunnels, access)
        finally:
            await kube.delete(MESH_PEERS, "hub")


async def test_requests_and_a_watch_go_through_and_a_withdrawn_consent_ends_them(
    light: Bed, tmp_path: Path
) -> None:
    async with way(light, folder=tmp_path) as there:
        await there.consent("kube-apiserver")
        reader, writer = await there.dialled()
        writer.write(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert b'"gitVersion"' in await reader.readuntil(b"}")
        watching, asking = await there.dialled()
        path = b"/api/v1/namespaces/default/configmaps?watch=1&fieldSelector=metadata.name%3Dseen"
        asking.write(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 OK" in await watching.readuntil(b"\r\n\r\n")
        meta = {"name": "seen", "namespace": "default"}
        await there.kube.create(CONFIG_MAPS, {"metadata": meta, "data": {}})
        async with asyncio.timeout(90):
            assert b'"ADDED"' in await watching.readuntil(b'ADDED"')
        await there.consent()
        async with asyncio.timeout(90):
            with pytest.raises((ConnectionError, ssl.SSLError, asyncio.IncompleteReadError)):
                await watching.readuntil(b"nothing more")
        await there.kube.delete(CONFIG_MAPS, "seen", namespace="default")
        with pytest.raises(NoTunnel):
            await there.tunnels(asyncio.Protocol, cluster="alone", inner=there.access, server_name=NAME)
        for one in (writer, asking):
            one.transport.abort()
        await until(lambda: not there.hub.traffic.admitted)
