"""Which cluster and which endpoint get a stream, and who is asked next when one cannot."""

import asyncio
import socket
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from mesh_fakes.backends import backend, echo, saying
from mesh_fakes.clusterset import FakeClusterset
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
from mesh_fakes.waiting import until
from mesh_gateway.route import Address


async def cluster(stack: AsyncExitStack, clusterset: FakeClusterset, name: str) -> Ingress:
    """A cluster whose program says its name."""
    there = await stack.enter_async_context(backend(saying(name.encode())))
    return await stack.enter_async_context(ingress(clusterset, name, endpoints=(there,)))


async def who_answers(near: Outlet, *, times: int = 1) -> list[str]:
    """The names that connections hear, one after the other; "" for a closed one."""
    names = []
    for _ in range(times):
        reader, writer = await asyncio.open_connection(LOOPBACK, near.port)
        try:
            writer.write_eof()
            names.append((await reader.read()).decode())
        except OSError:  # a connection that was reset may be none when it is to end
            names.append("")
        finally:
            writer.close()
    return names


def nobody() -> Address:
    """An address that refuses connections."""
    return Address(LOOPBACK, free_port())


@on_both_loops
async def test_clusters_share_by_exact_weight() -> None:
    clusterset = FakeClusterset()
    async with AsyncExitStack() as stack:
        east = await cluster(stack, clusterset, "east")
        north = await cluster(stack, clusterset, "north")
        remotes = {"east": (east.address,), "north": (north.address,)}
        near = await stack.enter_async_context(egress(clusterset, remotes, weights={"east": 3, "north": 1}))
        assert Counter(await who_answers(near, times=12)) == {"east": 9, "north": 3}


@on_both_loops
async def test_ports_that_stand_for_the_same_share_by_exact_weight_together() -> None:
    clusterset = FakeClusterset()
    async with AsyncExitStack() as stack:
        east = await cluster(stack, clusterset, "east")
        north = await cluster(stack, clusterset, "north")
        remotes = {"east": (east.address,), "north": (north.address,)}
        near = await stack.enter_async_context(
            egress(clusterset, remotes, weights={"east": 3, "north": 1}, lanes=3)
        )
        heard = [
            name for port in (near.port, *near.lanes) for name in await who_answers(replace(near, port=port))
        ]
        assert Counter(heard) == {"east": 3, "north": 1}, "not the heavier one first on each port"


@on_both_loops
async def test_the_next_address_of_a_cluster_is_tried_when_one_refuses() -> None:
    clusterset = FakeClusterset()
    async with AsyncExitStack() as stack:
        east = await cluster(stack, clusterset, "east")
        near = await stack.enter_async_context(egress(clusterset, {"east": (nobody(), east.address)}))
        assert await who_answers(near, times=2) == ["east", "east"]


@on_both_loops
async def test_the_next_cluster_is_tried_when_one_is_unreachable() -> None:
    clusterset = FakeClusterset()
    async with AsyncExitStack() as stack:
        north = await cluster(stack, clusterset, "north")
        remotes = {"east": (nobody(),), "north": (north.address,)}
        near = await stack.enter_async_context(egress(clusterset, remotes, weights={"east": 100, "north": 1}))
        assert await who_answers(near, times=4) == ["north"] * 4


@on_both_loops
async def test_a_gateway_that_takes_connections_and_says_nothing_costs_one_caller_its_limit() -> None:
    clusterset = FakeClusterset()
    limits = replace(PATIENT, handshake=0.5)
    with socket.create_server((LOOPBACK, 0)) as deaf:
        async with AsyncExitStack() as stack:
            north = await cluster(stack, clusterset, "north")
            remotes = {"east": (Address(LOOPBACK, deaf.getsockname()[1]),), "north": (north.address,)}
            near = await stack.enter_async_context(
                egress(clusterset, remotes, weights={"east": 100, "north": 1}, limits=limits)
            )
            clock = asyncio.get_running_loop().time
            started = clock()
            assert await who_answers(near, times=10) == ["north"] * 10
            assert clock() - started < 2.5, "nobody waits for a cluster that was silent a moment ago"


@on_both_loops
async def test_the_next_cluster_is_tried_when_one_refuses_before_its_handshake() -> None:
    clusterset = FakeClusterset()
    async with AsyncExitStack() as stack:
        east = await cluster(stack, clusterset, "east")
        north = await cluster(stack, clusterset, "north")
        east.route()
        remotes = {"east": (east.address,), "north": (north.address,)}
        near = await stack.enter_async_context(egress(clusterset, remotes))
        assert await who_answers(near, times=3) == ["north"] * 3
        there = await stack.enter_async_context(backend(saying(b"east again")))
        east.route(there)
        assert "east again" in await who_answers(near, times=2)


@on_both_loops
async def test_the_next_cluster_is_tried_when_one_cannot_prove_who_it_is() -> None:
    clusterset = FakeClusterset()
    async with AsyncExitStack() as stack:
        east = await cluster(stack, clusterset, "east")
        north = await cluster(stack, clusterset, "north")
        east.leaf.current = leaf_of(FakeClusterset(), "east", roots=clusterset.roots).current
        remotes = {"east": (east.address,), "north": (north.address,)}
        near = await stack.enter_async_context(egress(clusterset, remotes))
        assert await who_answers(near, times=3) == ["north"] * 3


@on_both_loops
async def test_nothing_is_sent_again_when_a_stream_breaks_after_it_was_opened_ruling_9() -> None:
    clusterset = FakeClusterset()
    heard: list[bytes] = []

    async def hears_and_breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))
        writer.transport.abort()

    async with AsyncExitStack() as stack:
        ways = {}
        for name in ("east", "north"):
            there = await stack.enter_async_context(backend(hears_and_breaks))
            far = await stack.enter_async_context(ingress(clusterset, name, endpoints=(there,)))
            ways[name] = (far.address,)
        near = await stack.enter_async_context(egress(clusterset, ways))
        reader, writer = await asyncio.open_connection(LOOPBACK, near.port)
        writer.write(b"pay 100")
        assert await ended(reader)
        writer.close()
        await until(lambda: near.traffic.admitted == 0)
        assert heard == [b"pay 100"]


@on_both_loops
async def test_a_port_that_leads_nowhere_closes_what_comes() -> None:
    clusterset = FakeClusterset()
    async with egress(clusterset, {}) as near:
        assert await who_answers(near) == [""]
    async with egress(clusterset, {"east": (nobody(),)}) as near:
        assert await who_answers(near, times=2) == ["", ""]


@on_both_loops
async def test_another_endpoint_is_tried_when_one_does_not_take_the_connection() -> None:
    clusterset = FakeClusterset()
    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(backend(saying(b"a pod that lives")))
        endpoints = (nobody(), nobody(), there)
        far = await stack.enter_async_context(ingress(clusterset, endpoints=endpoints))
        near = await stack.enter_async_context(egress(clusterset, {"east": (far.address,)}))
        assert await who_answers(near, times=4) == ["a pod that lives"] * 4


@on_both_loops
async def test_when_no_endpoint_takes_the_connection_the_client_is_closed() -> None:
    clusterset = FakeClusterset()
    async with AsyncExitStack() as stack:
        far = await stack.enter_async_context(ingress(clusterset, endpoints=(nobody(), nobody())))
        near = await stack.enter_async_context(egress(clusterset, {"east": (far.address,)}))
        assert await who_answers(near) == [""]
        await until(lambda: far.traffic.admitted == near.traffic.admitted == 0)


@on_both_loops
async def test_endpoints_get_new_streams_by_how_few_they_have() -> None:
    clusterset = FakeClusterset()
    async with AsyncExitStack() as stack:
        there = [await stack.enter_async_context(backend(saying(b"%d" % number))) for number in range(3)]
        far = await stack.enter_async_context(ingress(clusterset, endpoints=tuple(there)))
        near = await stack.enter_async_context(egress(clusterset, {"east": (far.address,)}))
        writers = [await speaking(near) for _ in range(9)]
        assert sorted(far.traffic.open_streams.values()) == [3, 3, 3]
        for _number, writer in writers:
            writer.close()


async def speaking(near: Outlet) -> tuple[bytes, asyncio.StreamWriter]:
    """A stream that is established: its first byte has come."""
    reader, writer = await asyncio.open_connection(LOOPBACK, near.port)
    return await reader.readexactly(1), writer


async def ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True


@on_both_loops
async def test_a_stream_that_one_cluster_refused_is_the_others_who_took_it() -> None:
    """Unlinking the first touches it not, unlinking the second ends it."""
    clusterset = FakeClusterset()
    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(backend(echo))
        refuses = await stack.enter_async_context(ingress(clusterset, "east", endpoints=()))
        takes = await stack.enter_async_context(ingress(clusterset, "north", endpoints=(there,)))
        remotes = {"east": (refuses.address,), "north": (takes.address,)}
        near = await stack.enter_async_context(
            egress(clusterset, remotes, weights={"east": 100, "north": 1}, tunnels=True)
        )
        reader, writer = await asyncio.open_connection(LOOPBACK, near.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        for unlinked in ({"west", "north"}, {"west", "north", "south"}):
            near.traffic.end_but(unlinked)
            writer.write(b"still there?")
            assert await reader.readexactly(12) == b"still there?"
        near.traffic.end_but({"west", "east"})
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.close()
        await until(lambda: near.traffic.admitted == 0)
