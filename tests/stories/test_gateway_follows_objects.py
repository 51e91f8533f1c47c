"""A whole gateway beside an API server in memory: ports follow slices, and it ends in good order."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from mesh_core.names import (
    ANNOTATION_READY_ENDPOINTS,
    ANNOTATION_TARGET_PORTS,
    EGRESS_PORTS,
    LABEL_CLUSTER,
    LABEL_ENDPOINT,
    LABEL_KUBERNETES_SERVICE,
    LABEL_NAMESPACE,
    LABEL_SERVICE,
    LABEL_SERVICE_NAME,
    LABEL_SLICE_MANAGED_BY,
    LABEL_SOURCE_CLUSTER,
    MANAGER,
    SYSTEM_NAMESPACE,
)
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.backends import backend, saying
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import (
    LOOPBACK,
    PATIENT,
    Ingress,
    Leaf,
    free_port,
    ingress,
    leaf_of,
    listens,
    on_both_loops,
)
from mesh_fakes.membership import FakeMembership
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_fakes.whole_gateways import whole_gateway
from mesh_gateway.gateway import Gateway
from mesh_gateway.limits import Limits
from mesh_gateway.route import Address, ServicePort
from mesh_runtime.kube import ENDPOINT_SLICES, MESH_PEERS, SERVICE_IMPORTS, KubeClient


@dataclass
class Scene:
    """West's gateway, its API server, and east, which answers "east"."""

    api: FakeApiServer
    kube: KubeClient
    gateway: Gateway
    leaf: Leaf
    far: Ingress
    door: Address
    membership: FakeMembership
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        await self.gateway.run(stop=self.stop)
        self.ended.set()

    async def bring(self, name: str, *, port: int) -> None:
        """An import `name` of east's, with that egress port."""
        ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
        meta = {"name": name, "namespace": "demo"}
        await self.kube.create(SERVICE_IMPORTS, {"metadata": meta, "spec": {"ports": ports}})
        await self.kube.create(ENDPOINT_SLICES, slice_of(name, port=port))


def slice_of(service: str, *, port: int) -> dict[str, Any]:
    """A slice as our controller writes it; JSON has any values, hence Any."""
    return {
        "metadata": {
            "name": f"{service}-east",
            "namespace": "demo",
            "labels": {
                LABEL_SLICE_MANAGED_BY: MANAGER,
                LABEL_SERVICE_NAME: service,
                LABEL_SOURCE_CLUSTER: "east",
            },
            "annotations": {ANNOTATION_READY_ENDPOINTS: json.dumps({"http": 1})},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [LOOPBACK], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    }


def stand_in_slice(endpoint: str, *, port: int, own: int) -> dict[str, Any]:
    """The slice of a stand-in for an endpoint of `demo/db` in east (Any: JSON has any values)."""
    return {
        "metadata": {
            "name": "stand-in-0123456789.ipv4",
            "namespace": SYSTEM_NAMESPACE,
            "labels": {
                LABEL_SLICE_MANAGED_BY: MANAGER,
                LABEL_KUBERNETES_SERVICE: "stand-in-0123456789",
                LABEL_NAMESPACE: "demo",
                LABEL_SERVICE: "db",
                LABEL_CLUSTER: "east",
                LABEL_ENDPOINT: endpoint,
            },
            "annotations": {ANNOTATION_TARGET_PORTS: json.dumps({"tcp": own})},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [LOOPBACK], "conditions": {"ready": True}}],
        "ports": [{"name": "tcp", "port": port, "protocol": "TCP"}],
    }


@asynccontextmanager
async def scene(*, limits: Limits = PATIENT, joined: bool = True) -> AsyncIterator[Scene]:
    clusterset = FakeClusterset()
    api = FakeApiServer()
    kube = api.client()
    membership = FakeMembership(clusterset.membership("west") if joined else None)
    door = Address(LOOPBACK, free_port())
    leaf = leaf_of(clusterset, "west")
    gateway, watches = whole_gateway(kube, door=door, leaf=leaf, membership=membership, limits=limits)
    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(backend(saying(b"east")))
        far = await stack.enter_async_context(ingress(clusterset, "east", endpoints=(there,)))
        ways = [{"host": far.address.host, "port": far.address.port}]
        peer = {"metadata": {"name": "east"}, "spec": {"gateways": ways}}
        await kube.create(MESH_PEERS, peer)
        set_up = Scene(api, kube, gateway, leaf, far, door, membership)
        runs = (watches.run(changed=gateway.changed), set_up.run())
        await stack.enter_async_context(under_way(*runs))
        yield set_up


def free_egress_port() -> int:
    """An egress port that nobody on this machine listens on now."""
    for port in EGRESS_PORTS:
        try:
            socket.create_server((LOOPBACK, port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("no egress port is free on loopback")


async def answer(port: int) -> str:
    """What a caller of a local port hears; "" when it is refused or closed."""
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
    except ConnectionRefusedError:
        return ""
    try:
        writer.write_eof()
        return (await reader.read()).decode()
    except ConnectionError:
        return ""
    finally:
        writer.close()


async def until_heard(port: int, wanted: str) -> None:
    """Calls until the answer is `wanted`."""
    async with asyncio.timeout(60):
        while await answer(port) != wanted:
            pass


@on_both_loops
async def test_a_gateway_without_imports_is_ready_when_it_has_seen_that_there_are_none() -> None:
    async with scene() as west:
        await until(lambda: west.gateway.is_ready)


@on_both_loops
async def test_a_gateway_is_ready_only_as_a_member_with_a_certificate() -> None:
    async with scene(joined=False) as west:
        standing, west.leaf.current = west.leaf.current, None
        clusterset = FakeClusterset()
        assert not west.gateway.is_ready
        west.membership.become(clusterset.membership("west"))
        port = free_egress_port()
        await west.bring("hello", port=port)
        await until(lambda: listens(port))
        assert not west.gateway.is_ready, "nothing to show yet"
        west.leaf.current = standing
        await until(lambda: west.gateway.is_ready)


@on_both_loops
async def test_ports_follow_the_slices() -> None:
    async with scene() as west:
        await until(lambda: west.gateway.is_ready)
        port = free_egress_port()
        assert await answer(port) == ""
        await west.bring("hello", port=port)
        await until_heard(port, "east")
        await west.kube.delete(ENDPOINT_SLICES, "hello-east", namespace="demo")
        await until_heard(port, "")


@on_both_loops
async def test_a_stand_ins_port_leads_to_its_endpoint_and_follows_its_slice() -> None:
    async with scene() as west, backend(saying(b"db-0")) as pod:
        west.far.route(pod, service=ServicePort("demo", "db", pod.port, endpoint="db-0"))
        port = free_egress_port()
        await west.kube.create(ENDPOINT_SLICES, stand_in_slice("db-0", port=port, own=pod.port))
        await until_heard(port, "db-0")
        await west.kube.delete(ENDPOINT_SLICES, "stand-in-0123456789.ipv4", namespace=SYSTEM_NAMESPACE)
        await until_heard(port, "")


@on_both_loops
async def test_an_api_server_that_is_away_changes_nothing() -> None:
    async with scene() as west:
        port = free_egress_port()
        await west.bring("hello", port=port)
        await until_heard(port, "east")
        west.api.stop()
        for _ in range(5):
            assert await answer(port) == "east"
        west.api.start()


@on_both_loops
async def test_a_port_that_somebody_holds_does_not_keep_the_others_closed() -> None:
    async with scene() as west:
        held = free_egress_port()
        with socket.create_server((LOOPBACK, held)):
            await west.bring("hello", port=held)
            other = free_egress_port()
            await west.bring("shop", port=other)
            await until(lambda: listens(other))
            assert not west.gateway.is_ready
        await until_heard(held, "")
        await until(lambda: west.gateway.is_ready)


@on_both_loops
async def test_a_stopped_gateway_goes_on_while_a_slice_brings_callers_ruling_6() -> None:
    async with scene(limits=replace(PATIENT, unlisting=20.0)) as west:
        port = free_egress_port()
        await west.bring("hello", port=port)
        await until_heard(port, "east")
        west.stop.set()
        await until(lambda: not west.gateway.is_ready)
        for _ in range(10):
            assert await answer(port) == "east", "kube-proxy may still send callers"
        assert not west.ended.is_set()
        await west.kube.delete(ENDPOINT_SLICES, "hello-east", namespace="demo")
        await until(west.ended.is_set)
        assert not listens(port)


@on_both_loops
async def test_a_stopped_gateway_takes_nobody_new_and_lets_streams_finish() -> None:
    async with scene(limits=replace(PATIENT, drain=10.0)) as west:
        port = free_egress_port()
        await west.bring("hello", port=port)
        await until_heard(port, "east")
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        assert await reader.readexactly(4) == b"east"
        west.stop.set()
        await until(lambda: not listens(port) and not listens(west.door.port))
        assert not west.gateway.is_ready
        assert not west.ended.is_set()
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await until(west.ended.is_set)


@on_both_loops
async def test_streams_that_do_not_finish_are_reset_at_the_end_of_the_drain() -> None:
    async with scene(limits=replace(PATIENT, drain=0.1)) as west:
        port = free_egress_port()
        await west.bring("hello", port=port)
        await until_heard(port, "east")
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        assert await reader.readexactly(4) == b"east"
        west.stop.set()
        try:
            ended: object = await reader.read()
        except ConnectionResetError as error:
            ended = error
        assert isinstance(ended, ConnectionResetError)
        writer.close()
        await until(west.ended.is_set)


@on_both_loops
async def test_between_readiness_and_the_end_of_listening_there_is_a_moment() -> None:
    async with scene(limits=replace(PATIENT, farewell=1.0)) as west:
        port = free_egress_port()
        await west.bring("hello", port=port)
        await until_heard(port, "east")
        west.stop.set()
        await until(lambda: not west.gateway.is_ready)
        assert await answer(port) == "east", "kube-proxy may not have noticed yet"
        await until(west.ended.is_set)


@on_both_loops
async def test_a_stream_of_a_peer_whose_mesh_peer_is_gone_is_reset_without_a_tunnel_too() -> None:
    """A stream on a connection of its own went on until its ends ended it."""
    async with scene(limits=replace(PATIENT, tunnels_per_peer=0)) as west:
        port = free_egress_port()
        await west.bring("hello", port=port)
        await until_heard(port, "east")
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        assert await reader.readexactly(4) == b"east"
        await west.kube.delete(MESH_PEERS, "east")
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(60):
                await reader.read()
        writer.close()
