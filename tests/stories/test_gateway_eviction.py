"""Who is refused by name loses what stands within seconds, in tunnels and beside them; nobody else does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from mesh_core.objects.trust import LocalRefusal
from mesh_core.trust import Trust
from mesh_fakes.backends import backend, echo
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import LOOPBACK, Ingress, Outlet, egress, ingress, on_both_loops
from mesh_fakes.waiting import until

LIMIT = 60.0
"""Seconds in which an eviction takes effect on all that stands."""


@dataclass
class Scene:
    """West and north call east; each has a stream that is open."""

    clusterset: FakeClusterset
    east: Ingress
    west: Outlet
    north: Outlet

    def rules(self, trust: Trust) -> None:
        """What east goes by from now on."""
        standing = self.east.leaf.current
        assert standing is not None
        self.east.leaf.current = replace(standing, trust=trust)


@asynccontextmanager
async def scene(*, tunnels: bool) -> AsyncIterator[Scene]:
    clusterset = FakeClusterset()
    async with (
        backend(echo) as there,
        ingress(clusterset, "east", endpoints=(there,)) as east,
        egress(clusterset, {"east": (east.address,)}, cluster="west", tunnels=tunnels) as west,
        egress(clusterset, {"east": (east.address,)}, cluster="north", tunnels=tunnels) as north,
    ):
        # West's name is known to the table of the fakes; north's has to be said.
        ways = (east.address,)
        east.link({one.table.cluster: ways for one in (west, north)})
        yield Scene(clusterset, east, west, north)


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def opened(half: Outlet) -> Stream:
    reader, writer = await asyncio.open_connection(LOOPBACK, half.port)
    assert await echoes((reader, writer))
    return reader, writer


async def echoes(stream: Stream) -> bool:
    reader, writer = stream
    try:
        writer.write(b"?")
        return await reader.read(1) == b"?"
    except ConnectionError:
        return False


async def is_refused(half: Outlet) -> bool:
    """Whether a new connection comes to nothing."""
    reader, writer = await asyncio.open_connection(LOOPBACK, half.port)
    try:
        return not await echoes((reader, writer))
    finally:
        writer.transport.abort()


@on_both_loops
async def test_a_refused_key_ends_what_stands_in_tunnels() -> None:
    await refused_key_ends_what_stands(tunnels=True)


@on_both_loops
async def test_a_refused_key_ends_connections_of_their_own() -> None:
    await refused_key_ends_what_stands(tunnels=False)


async def refused_key_ends_what_stands(*, tunnels: bool) -> None:
    async with scene(tunnels=tunnels) as seen:
        west, north = await opened(seen.west), await opened(seen.north)
        refused = seen.clusterset.refused("west")
        seen.rules(Trust(refused={refused.key: refused}))
        async with asyncio.timeout(LIMIT):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await west[0].readexactly(1)
        assert await echoes(north)
        assert await is_refused(seen.west)
        assert not await is_refused(seen.north)
        for _, writer in (west, north):
            writer.transport.abort()


@on_both_loops
async def test_an_eviction_from_this_cluster_alone_ends_what_stands_too() -> None:
    async with scene(tunnels=True) as seen:
        stream = await opened(seen.west)
        seen.rules(Trust(refused_here={"west": LocalRefusal(cluster="west", why="it is not ours")}))
        async with asyncio.timeout(LIMIT):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await stream[0].readexactly(1)
        assert await is_refused(seen.west)
        seen.rules(Trust())
        await until(lambda: bool(seen.west.tunnels.of(seen.east.table.cluster)), limit=LIMIT)
        stream[1].transport.abort()


@on_both_loops
async def test_a_cluster_that_the_roster_does_not_name_any_more_is_served_no_more() -> None:
    async with scene(tunnels=True) as seen:
        stream = await opened(seen.west)
        keys = {name: frozenset({seen.clusterset.key(name)}) for name in ("east", "north")}
        seen.rules(Trust(generation=2, roster=keys))
        async with asyncio.timeout(LIMIT):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await stream[0].readexactly(1)
        assert not await is_refused(seen.north)
        stream[1].transport.abort()
