"""Who is served at all, and that nobody takes the places of everybody else (rulings 15 and 17)."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from mesh_core.identity import cluster_id
from mesh_fakes.backends import backend, echo
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import (
    LOOPBACK,
    PATIENT,
    Everybody,
    Ingress,
    Outlet,
    egress,
    ingress,
    on_both_loops,
)
from mesh_fakes.udp import free_udp_port, udp_program
from mesh_fakes.waiting import until
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import GatewayMetrics
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opening import Opening
from mesh_gateway.route import Address, ServicePort
from mesh_gateway.route import Ingress as Way
from mesh_gateway.sources import PENDING, UNKNOWN, Looked
from mesh_gateway.udp_ports import UdpPorts

EAST, WEST = cluster_id("east"), cluster_id("west")
DNS = ServicePort("demo", "dns", 53, protocol="UDP")


class Watch(Everybody):
    """Says `said` of every address, until that is None: then it is a pod of ours."""

    def __init__(self, said: Looked | None) -> None:
        super().__init__()
        self.said = said

    def look(self, address: str) -> Looked:
        return self.said or super().look(address)


@asynccontextmanager
async def opened(
    *, limits: Limits = PATIENT, sources: Watch | None = None, there: Limits = PATIENT
) -> AsyncIterator[tuple[Outlet, Ingress]]:
    clusterset = FakeClusterset()
    async with (
        backend(echo) as endpoint,
        ingress(clusterset, "east", endpoints=(endpoint,), controllers=(endpoint,), limits=there) as far,
        egress(clusterset, {"east": (far.address,)}, limits=limits, sources=sources, tunnels=True) as near,
    ):
        yield near, far
        await until(lambda: near.traffic.admitted == far.traffic.admitted == 0)


async def called(port: int, *, host: str = LOOPBACK) -> asyncio.StreamWriter | None:
    """A connection that was served; None when it was closed."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port, local_addr=(host, 0))
    writer.write(b"x")
    with suppress(ConnectionError):
        if await reader.read(1) == b"x":
            return writer
    writer.transport.abort()
    return None


@on_both_loops
async def test_an_address_that_nothing_says_is_ours_is_not_carried_under_our_certificate() -> None:
    watch = Watch(UNKNOWN)
    async with opened(sources=watch) as (near, _):
        assert await called(near.port) is None
        watch.said = PENDING
        writer = await called(near.port)
        assert writer is not None, "in a range that the Nodes state"
        writer.transport.abort()
        watch.said = None
        writer = await called(near.port)
        assert writer is not None
        writer.transport.abort()


@on_both_loops
async def test_a_datagram_of_an_unknown_address_is_dropped_and_a_later_one_goes_when_it_is_known() -> None:
    watch, port = Watch(UNKNOWN), free_udp_port()
    with udp_program(echoes=True) as there, udp_program() as client:
        async with opened(sources=watch) as (near, far):
            far.table = replace(far.table, ingress={DNS: Way((there.address,))})
            route = replace(near.table.egress[near.port], target=DNS)
            near.table = replace(near.table, egress={port: route})
            served, metrics = near.served, GatewayMetrics()
            ports = UdpPorts(
                LOOPBACK, opened=served.open_udp, ended=served.udp_ended, limits=PATIENT, metrics=metrics
            )
            await ports.match([port])
            client.send(b"who am I?", to=Address(LOOPBACK, port))
            await until(lambda: len(ports.resting) == 1)
            assert near.traffic.admitted == 0
            watch.said = None
            await client.asks_until_answered(b"and now?", of=Address(LOOPBACK, port))
            assert b"who am I?" not in there.payloads
            ports.close()


@on_both_loops
async def test_one_pod_cannot_take_the_places_of_the_others() -> None:
    async with opened(limits=replace(PATIENT, streams_per_source=2)) as (near, _):
        held = [await called(near.port) for _ in range(2)]
        assert None not in held
        assert await called(near.port) is None
        held.append(await called(near.port, host="127.0.0.2"))
        assert None not in held
        first = held.pop(0)
        assert first is not None
        first.transport.abort()
        await until(lambda: near.traffic.admitted == 2)
        held.append(await called(near.port))
        assert None not in held
        for writer in filter(None, held):
            writer.transport.abort()


@on_both_loops
async def test_a_crowd_is_turned_away_at_once_and_who_has_a_place_in_it_is_served() -> None:
    async with opened(limits=replace(PATIENT, streams_per_source=2)) as (near, _):
        held = [await called(near.port) for _ in range(2)]
        # They come while the loop is not looking, so that all of them wait to be accepted.
        crowd = [socket.create_connection((LOOPBACK, near.port)) for _ in range(100)]
        other = socket.create_connection((LOOPBACK, near.port), source_address=("127.0.0.2", 0))
        crowd += [socket.create_connection((LOOPBACK, near.port)) for _ in range(20)]
        other.setblocking(False)
        other.send(b"?")
        answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(other, 1), 60)
        assert answer == b"?"
        await until(lambda: near.traffic.admitted == 3)
        for one in crowd:
            one.setblocking(False)
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(asyncio.get_running_loop().sock_recv(one, 1), 60)
            one.close()
        other.close()
        for writer in filter(None, held):
            writer.transport.abort()


@on_both_loops
async def test_strangers_at_the_door_take_no_place_of_a_stream() -> None:
    async with opened(there=replace(PATIENT, connections=1)) as (near, far):
        where = far.address
        silent = [await asyncio.open_connection(where.host, where.port) for _ in range(8)]
        await until(lambda: far.traffic.admitted == 8)
        writer = await called(near.port)
        assert writer is not None
        writer.transport.abort()
        for _reader, one in silent:
            one.transport.abort()


@on_both_loops
async def test_one_peer_has_so_many_streams_to_our_controller_beside_those_to_services() -> None:
    async with opened(there=replace(PATIENT, reserved_per_peer=2, connections=1)) as (near, far):
        far.table = replace(far.table, gateways={WEST: ()})
        asked = Opening(reserved="peer", component="controller")
        streams = [near.served.open_reserved(EAST, asked) for _ in range(3)]
        found = [stream for stream in streams if isinstance(stream, MuxStream)]
        assert len(found) == 3
        await until(lambda: found[2].is_gone)
        await until(lambda: far.traffic.admitted == 2)
        assert not found[0].is_gone
        assert not found[1].is_gone
        writer = await called(near.port)
        assert writer is not None, "they take no place of a service's stream"
        writer.transport.abort()
        for stream in found[:2]:
            stream.abort()
