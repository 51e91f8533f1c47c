"""Tunnels between real halves: who gets them, who dials how often, when they are replaced and closed."""

import asyncio
import math
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import cast

import pytest

from mesh_core.identity import cluster_id
from mesh_core.names import ALPN_TUNNEL
from mesh_fakes.backends import backend, echo
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.frame_audit import PING, SYN, frames
from mesh_fakes.gateways import (
    LOOPBACK,
    PATIENT,
    Ingress,
    Outlet,
    egress,
    free_port,
    ingress,
    leaf_of,
    on_both_loops,
)
from mesh_fakes.noted_wire import Wire
from mesh_fakes.plain_tunnel import CALM, plain_pool
from mesh_fakes.raw_tunnel import raw_tunnel
from mesh_fakes.waiting import until
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opening import Opening
from mesh_gateway.route import Address
from mesh_gateway.session import SessionLimits
from mesh_gateway.tls_stream import TlsStream
from mesh_gateway.tunnel import Tunnel
from mesh_gateway.window_budget import WindowBudget
from mesh_gateway.yamux import GO_AWAY, ping_frame
from mesh_runtime.leaf import Standing
from mesh_runtime.tls import server_context

EAST, WEST = cluster_id("east"), cluster_id("west")
NO_NAME = Address("x" * 64 + ".example", 15443)


def opened(half: Ingress | Outlet, cluster: str) -> set[Tunnel]:
    """The tunnels that stand."""
    return {one for one in half.tunnels.of(cluster_id(cluster)) if one.is_open}


async def said(near: Outlet, text: bytes = b"hello") -> bytes:
    """What a client hears who says this."""
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, near.port)
        writer.write(text)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
    except ConnectionError:
        return b""
    return answer


# Names


@on_both_loops
async def test_an_address_that_is_no_host_name_is_told_and_harms_no_other() -> None:
    clusterset = FakeClusterset()
    async with (
        backend(echo) as there,
        ingress(clusterset, "east", endpoints=(there,)) as far,
        ingress(clusterset, "north") as other,
        egress(clusterset, {"east": (far.address,), "north": (NO_NAME,)}, tunnels=False) as near,
    ):
        near.keeper.follow(near.table)
        await near.tunnelled("east", number=PATIENT.tunnels_per_peer)
        await until(lambda: "no host name" in near.witness.problems.get("north", ""))
        assert "spec.gateways of MeshPeer north" in near.witness.problems["north"]
        near.link({EAST: (far.address,), cluster_id("north"): (other.address,)})
        await near.tunnelled("east", "north")
        assert near.witness.problems["north"] == ""


@on_both_loops
async def test_the_problem_of_an_address_ends_with_the_address_though_no_tunnel_opens() -> None:
    clusterset = FakeClusterset()
    async with egress(clusterset, {"north": (NO_NAME,)}, tunnels=False) as near:
        near.keeper.follow(near.table)
        await until(lambda: "no host name" in near.witness.problems.get("north", ""))
        near.link({cluster_id("north"): (Address(LOOPBACK, free_port()),)})
        await until(lambda: near.witness.problems["north"] == "", limit=90)


@on_both_loops
async def test_a_stream_goes_past_an_address_that_is_no_host_name() -> None:
    clusterset = FakeClusterset()
    async with (
        backend(echo) as there,
        ingress(clusterset, "east", endpoints=(there,)) as far,
        egress(clusterset, {"east": (NO_NAME, Address(LOOPBACK, free_port()), far.address)}) as near,
    ):
        assert await said(near) == b"hello"


@on_both_loops
async def test_whoever_wants_to_know_hears_how_long_pings_in_tunnels_take() -> None:
    clusterset = FakeClusterset()
    async with (
        ingress(clusterset, "east") as far,
        egress(clusterset, {"east": (far.address,)}, tunnels=True) as near,
    ):
        await until(lambda: "east" in near.witness.found and "west" in far.witness.found)
        found = near.witness.found["east"]
        assert 0 < found.rtt < 5
        assert found.headroom == 1.0, "the streams of the hello carry nothing"
        assert 0 < found.cert_not_after - time.time() < 2 * 86400, "the end of what east has shown"


# How often


@on_both_loops
async def test_a_peer_that_greets_and_goes_away_is_dialled_ever_more_rarely() -> None:
    clusterset = FakeClusterset()
    seen: set[Tunnel] = set()
    clock = asyncio.get_running_loop().time

    def five_were_cut() -> bool:
        for tunnel in opened(far, "west"):
            seen.add(tunnel)
            tunnel.abort("the peer goes away")
        return len(seen) >= 5

    async with (
        ingress(clusterset, "east") as far,
        egress(clusterset, {"east": (far.address,)}, tunnels=False) as near,
    ):
        began = clock()
        near.keeper.follow(near.table)
        await until(five_were_cut, limit=90)
        # It wants four at once; from then on each dial waits, 0.1 seconds at least.
        assert clock() - began >= 0.1


# With whom


@on_both_loops
async def test_a_member_without_a_meshpeer_here_gets_no_tunnel_and_hears_why() -> None:
    clusterset = FakeClusterset()
    async with (
        ingress(clusterset, "east") as far,
        egress(clusterset, {"east": (far.address,)}, tunnels=False) as near,
    ):
        far.link({})
        near.keeper.follow(near.table)
        await until(
            lambda: "there is no MeshPeer for cluster west here" in near.witness.problems.get(EAST, "")
        )
        assert not opened(far, "west")
        assert "west" not in far.witness.problems, "there is no object to write it to"
        far.link({WEST: ()})
        await near.tunnelled("east")
        assert near.witness.problems[EAST] == ""


@on_both_loops
async def test_a_member_without_a_meshpeer_here_gets_no_stream_of_its_own_either() -> None:
    clusterset = FakeClusterset()
    async with (
        backend(echo) as there,
        ingress(clusterset, "east", endpoints=(there,)) as far,
        egress(clusterset, {"east": (far.address,)}, tunnels=False) as near,
    ):
        far.link({})
        assert await said(near) == b""
        far.link({WEST: ()})
        assert await said(near) == b"hello"


async def ended_with_its_meshpeer(*, by_who_dials: bool) -> None:
    clusterset = FakeClusterset()
    async with (
        backend(echo) as there,
        ingress(clusterset, "east", endpoints=(there,)) as far,
        egress(clusterset, {"east": (far.address,)}, tunnels=True) as near,
    ):
        reader, writer = await asyncio.open_connection(LOOPBACK, near.port)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        (near if by_who_dials else far).link({})
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        await until(lambda: not (opened(near, "east") or opened(far, "west")))


@on_both_loops
async def test_deleting_a_meshpeer_ends_tunnels_that_were_dialled_there_with_their_streams() -> None:
    await ended_with_its_meshpeer(by_who_dials=True)


@on_both_loops
async def test_deleting_a_meshpeer_ends_tunnels_that_came_from_there_with_their_streams() -> None:
    await ended_with_its_meshpeer(by_who_dials=False)


# How long


@on_both_loops
async def test_a_tunnel_that_a_peer_dialled_and_does_not_replace_is_left_and_later_closed() -> None:
    clusterset = FakeClusterset()
    limits = replace(PATIENT, tunnel_life=0.05, tunnel_drain=0.1)
    async with (
        ingress(clusterset, "east", limits=limits) as far,
        raw_tunnel(clusterset, far) as old,
    ):
        assert await old.read_until(lambda frame: frame.kind == GO_AWAY)
        assert await old.is_lost(), "though it answers nothing, and says nothing"


@on_both_loops
async def test_no_tunnel_takes_streams_beyond_the_certificate_of_the_other_end() -> None:
    clusterset = FakeClusterset()
    limits = replace(PATIENT, tunnel_life=1e6)
    async with (
        ingress(clusterset, "east", limits=limits) as far,
        egress(clusterset, {"east": (far.address,)}, limits=limits, tunnels=True) as near,
    ):
        await until(lambda: bool(opened(far, "west")))
        for tunnel in (*opened(far, "west"), *opened(near, "east")):
            # Of the 24 hours of a leaf one has passed when the test begins.
            assert 22.9 * 3600 < tunnel.leave_by - tunnel.since < 23.1 * 3600
            assert tunnel.renew_by < tunnel.leave_by or not tunnel.is_client


@on_both_loops
async def test_tunnels_are_replaced_when_a_root_is_believed_no_more() -> None:
    clusterset, other = FakeClusterset(), FakeClusterset()
    both = (*clusterset.roots, *other.roots)
    leaf = leaf_of(clusterset, "west", roots=both)
    async with (
        ingress(clusterset, "east") as far,
        egress(clusterset, {"east": (far.address,)}, leaf=leaf, tunnels=True) as near,
    ):
        await near.tunnelled("east", number=PATIENT.tunnels_per_peer)
        before = opened(near, "east")
        standing = leaf.current
        assert standing is not None
        await asyncio.sleep(0)
        leaf.current = Standing(standing.identity, standing.credentials, clusterset.roots)
        await until(lambda: not opened(near, "east") & before and len(opened(near, "east")) >= 4, limit=90)
        await until(lambda: all(one.is_gone for one in before))


@on_both_loops
async def test_tunnels_to_an_address_that_the_peer_has_no_more_are_replaced() -> None:
    clusterset = FakeClusterset()
    async with (
        ingress(clusterset, "east") as old,
        ingress(clusterset, "east") as new,
        egress(clusterset, {"east": (old.address,)}, tunnels=True) as near,
    ):
        await near.tunnelled("east", number=PATIENT.tunnels_per_peer)
        near.link({EAST: (new.address,)})
        await until(lambda: {one.way for one in near.tunnels.of(EAST)} == {new.address}, limit=90)
        assert len(opened(near, "east")) == PATIENT.tunnels_per_peer
        await until(lambda: not old.tunnels.of(WEST))


@on_both_loops
async def test_tunnels_that_were_left_keep_no_place_from_new_ones() -> None:
    clusterset = FakeClusterset()
    limits = replace(PATIENT, tunnels_from_peer=4)
    async with (
        backend(echo) as there,
        ingress(clusterset, "east", endpoints=(there,), limits=limits) as far,
        egress(clusterset, {"east": (far.address,)}, tunnels=True) as near,
    ):
        await near.tunnelled("east", number=4)
        before = opened(near, "east")
        reader, writer = await asyncio.open_connection(LOOPBACK, near.port)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        for tunnel in before:
            tunnel.leave()
        await until(lambda: len(opened(near, "east") - before) == 4)
        writer.write(b"y")
        assert await reader.readexactly(1) == b"y", "its tunnel is left and goes on"
        writer.close()


# What is under way


@asynccontextmanager
async def silent_gateway(clusterset: FakeClusterset) -> AsyncIterator[tuple[Address, list[asyncio.Event]]]:
    """A gateway of east that shakes hands and never says hello; the events say who has gone again."""
    standing = leaf_of(clusterset, "east").current
    assert standing is not None
    callers: list[asyncio.Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone = asyncio.Event()
        callers.append(gone)
        with suppress(OSError):
            while await reader.read(65536):
                pass
        writer.close()
        gone.set()

    context = server_context(standing.credentials, roots=standing.roots, alpn=[ALPN_TUNNEL])
    server = await asyncio.start_server(serve, LOOPBACK, 0, ssl=context)
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield Address(host, port), callers
    finally:
        server.close()


@on_both_loops
async def test_a_tunnel_that_waits_for_a_hello_ends_with_who_dials() -> None:
    clusterset = FakeClusterset()
    async with (
        silent_gateway(clusterset) as (address, callers),
        egress(clusterset, {"east": (address,)}, tunnels=False) as near,
    ):
        near.keeper.follow(near.table)
        await until(lambda: bool(near.tunnels.of(EAST)) and bool(callers))
        near.keeper.stop()
        await until(lambda: not near.tunnels.of(EAST))
        await asyncio.wait_for(callers[0].wait(), 60.0)


@on_both_loops
async def test_a_tunnel_that_is_left_before_it_opens_closes_when_it_has() -> None:
    def asked(_tunnel: Tunnel, _stream: MuxStream, _opening: Opening) -> None:
        raise AssertionError("nobody asks")

    async with plain_pool(asked) as (ours, port), plain_pool(asked, peer=WEST) as (theirs, _):
        tunnel = await theirs.dial(port)
        tunnel.leave()
        await until(lambda: tunnel.is_gone and not any(ours.pool.all()))
    assert CALM.handshake > 5.0, "not for being too slow"


# Alive


class Host:
    """Wants to know nothing."""

    def stream_asked(self, _tunnel: Tunnel, stream: MuxStream, _message: bytes | None) -> None:
        """As `TunnelHost`."""

    def tunnel_gone(self, _tunnel: Tunnel, _why: str) -> None:
        """As `TunnelHost`."""

    def tunnel_leaving(self, _tunnel: Tunnel) -> None:
        """As `TunnelHost`."""


def tunnel_on(wire: Wire, *, fine_clock: Callable[[], float] = time.monotonic) -> Tunnel:
    """A tunnel that has begun."""
    budget = WindowBudget(1)
    tunnel = Tunnel(
        cast(TlsStream, wire),
        cluster=EAST,
        is_client=True,
        limits=SessionLimits(),
        budget=budget,
        kept=budget,
        early=budget,
        dead_after=3.0,
        host=Host(),
        fine_clock=fine_clock,
    )
    tunnel.start()
    return tunnel


@on_both_loops
async def test_a_round_trip_is_measured_with_a_clock_that_is_finer_than_the_loops() -> None:
    wire, times = Wire(), iter((10.0, 10.00025))
    tunnel = tunnel_on(wire, fine_clock=lambda: next(times, 11.0))
    tunnel.flush_now()
    (asked,) = frames(bytes(wire.said))
    tunnel.bytes_came(ping_frame(asked.length, is_answer=True))
    assert tunnel.rtt == pytest.approx(0.00025)


@on_both_loops
async def test_who_sends_without_end_and_answers_no_ping_for_a_minute_is_dead() -> None:
    wire = Wire()
    tunnel = tunnel_on(wire)
    for second in range(61):
        tunnel.bytes_came(ping_frame(second, is_answer=False))
        tunnel.tick(now=float(second), ran=float(second), ask=True)
        assert not wire.is_aborted, second
    tunnel.tick(now=61.0, ran=60.5, ask=True)
    assert wire.is_aborted


@on_both_loops
async def test_one_answer_a_minute_is_enough_to_live() -> None:
    wire = Wire()
    tunnel = tunnel_on(wire)
    for second in range(1, 300):
        tunnel.tick(now=float(second), ran=float(second), ask=True)
        tunnel.bytes_came(ping_frame(0, is_answer=False))
        if second % 50 == 0:
            tunnel.flush_now()
            *_, last = (
                frame.length for frame in frames(bytes(wire.said)) if frame.kind == PING and frame.flags & SYN
            )
            tunnel.bytes_came(ping_frame(last, is_answer=True))
    assert not wire.is_aborted


@on_both_loops
async def test_who_does_not_close_after_us_is_cut_off() -> None:
    wire = Wire()
    tunnel = tunnel_on(wire)
    now = asyncio.get_running_loop().time()
    tunnel.part("enough")
    assert wire.is_ended
    for second in (1.0, 2.0, 3.0, 4.0):
        tunnel.bytes_came(ping_frame(1, is_answer=False))
        tunnel.tick(now=now + second, ran=second, ask=False)
    assert not wire.is_aborted
    tunnel.tick(now=now + 6.0, ran=6.0, ask=False)
    assert wire.is_aborted


@on_both_loops
async def test_the_kernel_gives_up_what_is_not_acknowledged_but_not_for_a_full_link() -> None:
    wire = Wire()
    tunnel_on(wire)
    # What lies in a kernel's buffers, 4 MiB, takes 3.4 s on a link of 10 Mbit/s.
    assert 15_000 <= wire.options[socket.TCP_USER_TIMEOUT] <= 30_000
    assert math.isinf(tunnel_on(wire).leave_by), "until a pool has charge of it"
