"""A member's gateway that keeps to the letter of yamux and wants to wear ours out, reading every answer.

Who breaks the protocol or reads nothing is in test_tunnel_hostile.py. After each attack another member is
served in the tunnel that it had all the time.
"""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace

import pytest

from mesh_core.identity import Component, cluster_id
from mesh_core.names import ALPN_TUNNEL
from mesh_fakes.backends import backend
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.frame_audit import ACK, DATA, PING, RST, SYN, WINDOW
from mesh_fakes.gateways import LOOPBACK, PATIENT, Ingress, Outlet, egress, ingress
from mesh_fakes.raw_tunnel import RawTunnel, opening, raw_tunnel
from mesh_fakes.waiting import until
from mesh_gateway.limits import Limits
from mesh_gateway.opening import Opening, write_message
from mesh_gateway.tunnel import Tunnel
from mesh_runtime.tls import client_context

CALM = replace(PATIENT, dead_after=20.0, tunnels_per_peer=1)
GOOD = write_message(Opening(namespace="demo", service="hello", port=80))
MALLORY, EAST = cluster_id("mallory"), cluster_id("east")
GO_AWAY = 3


@dataclass
class Scene:
    """East's ingress half, a good member's tunnel to it, and mallory's.

    `reached` counts connections to the program behind, of which so many are open.
    """

    clusterset: FakeClusterset
    far: Ingress
    near: Outlet
    bad: RawTunnel
    tunnel: Tunnel
    reached: int = 0
    open_now: int = 0
    most_open: int = 0

    async def is_well(self) -> None:
        """The good member is served."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.near.port)
        writer.write(b"as ever")
        writer.write_eof()
        assert await reader.read() == b"as ever"
        writer.close()
        (tunnel,) = self.near.tunnels.of(EAST)
        assert tunnel.is_open


@asynccontextmanager
async def scene(*, limits: Limits = CALM) -> AsyncIterator[Scene]:
    clusterset = FakeClusterset()
    found: list[Scene] = []

    async def counts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        one = found[0]
        one.reached += 1
        one.open_now += 1
        one.most_open = max(one.most_open, one.open_now)
        with suppress(ConnectionError):
            writer.write(await reader.read())
        one.open_now -= 1

    async with (
        asyncio.timeout(120),
        backend(counts) as there,
        ingress(clusterset, "east", endpoints=(there,), limits=limits) as far,
        egress(clusterset, {"east": (far.address,)}, limits=CALM, tunnels=True) as near,
        raw_tunnel(clusterset, far) as bad,
    ):
        await until(lambda: len(far.tunnels.of(MALLORY)) == 1)
        (tunnel,) = far.tunnels.of(MALLORY)
        found.append(Scene(clusterset, far, near, bad, tunnel))
        yield found[0]
        await found[0].is_well()
    assert far.traffic.admitted == 0


def header(*, kind: int = DATA, flags: int = 0, stream: int = 3, length: int = 0) -> bytes:
    return struct.pack("!BBHII", 0, kind, flags, stream, length)


@pytest.mark.asyncio
async def test_streams_that_are_opened_and_reset_at_once_are_few_at_a_time_at_the_backend() -> None:
    """CVE-2023-44487: a reset frees the number of a stream at once, while its work goes on behind.

    So work is bounded for the peer, not for the tunnel, and what is beyond is refused.
    """
    async with scene(limits=replace(CALM, streams_per_peer=50)) as found:
        most = 0
        for start in range(3, 20_003, 400):
            found.bad.send(
                *(
                    bytes(opening(number, message=GOOD)) + header(kind=WINDOW, flags=RST, stream=number)
                    for number in range(start, start + 400, 2)
                )
            )
            await found.bad.drained()
            await asyncio.sleep(0)
            most = max(most, found.far.traffic.admitted)
        assert 0 < most <= 50
        await until(lambda: found.far.traffic.admitted == 0)
        # What was sent last may not have been read when there was nothing open for a moment.
        for number in range(50_001, 60_001, 2):
            found.bad.send(opening(number, message=GOOD, payload=b"the last"))
            answer = await found.bad.answer(number)
            if answer is not None and not answer.reason:
                break
        else:
            pytest.fail("nothing is served any more")
        found.bad.send(header(kind=WINDOW, flags=RST, stream=number))
        await until(lambda: found.open_now == 0)


@pytest.mark.asyncio
async def test_pings_without_end_whose_answers_are_read_hold_nobody_up() -> None:
    async with scene() as found:
        async with asyncio.TaskGroup() as group:

            async def flood() -> None:
                for start in range(0, 40_000, 1000):
                    found.bad.send(
                        *(
                            header(kind=PING, flags=SYN, stream=0, length=n)
                            for n in range(start, start + 1000)
                        )
                    )
                    await found.bad.drained()

            group.create_task(flood())
            await found.bad.read_until(lambda one: one.kind == PING and bool(one.flags & ACK))
            await found.is_well()
            await found.bad.read_until(lambda one: one.kind == PING and one.length == 39_999)
        assert not found.tunnel.is_gone


@pytest.mark.asyncio
async def test_who_goes_away_and_opens_streams_all_the_same_gets_no_more_than_others() -> None:
    async with scene(limits=replace(CALM, streams_per_tunnel=100)) as found:
        found.bad.send(*(header(kind=GO_AWAY, stream=0, length=code) for code in (0, 0, 1, 2, 77)))
        with suppress(ConnectionError):
            for number in range(3, 2003, 2):
                found.bad.send(opening(number, message=GOOD))
                await found.bad.drained()
        await until(lambda: found.tunnel.is_gone or found.tunnel.session.theirs <= 100)
        assert found.most_open <= 100


@pytest.mark.asyncio
async def test_credit_in_single_bytes_and_data_in_single_bytes_hold_nobody_up() -> None:
    """The cheapest frames for a sender, the dearest for a reader."""
    async with scene() as found:
        found.bad.send(opening(3, message=GOOD))
        for _ in range(100):
            found.bad.send(*(header(stream=3, length=1) + b"x" for _ in range(100)))
            found.bad.send(*(header(kind=WINDOW, stream=3, length=1) for _ in range(100)))
            await found.bad.drained()
        await found.is_well()
        found.bad.send(header(kind=WINDOW, flags=RST, stream=3))
        await until(lambda: found.open_now == 0)


@pytest.mark.asyncio
async def test_a_hundred_tunnels_of_one_member_leave_the_tunnel_of_another_alone() -> None:
    async with scene(limits=replace(CALM, tunnels_from_peer=8)) as found:
        async with AsyncExitStack() as stack:
            for _ in range(100):
                with suppress(ConnectionError, ssl.SSLError, AssertionError):
                    await stack.enter_async_context(raw_tunnel(found.clusterset, found.far))
            assert len(found.far.tunnels.of(MALLORY)) <= 8
            await found.is_well()


@pytest.mark.asyncio
@pytest.mark.parametrize("component", [Component.CONTROLLER, Component.DNS, Component.CLIENT])
async def test_a_component_that_is_no_gateway_gets_no_tunnel(component: Component) -> None:
    """A stolen key of a client, or of a member's DNS, carries no streams of its cluster."""
    async with scene() as found:
        shown = found.clusterset.credentials("mallory", component)
        context = client_context(shown, roots=found.clusterset.roots, alpn=[ALPN_TUNNEL])
        where = found.far.address
        with suppress(ConnectionError, ssl.SSLError):
            reader, writer = await asyncio.open_connection(
                where.host, where.port, ssl=context, server_hostname="gateway.east.clusterset.internal"
            )
            writer.write(bytes(opening(1, message=GOOD)))
            assert await reader.read() == b""
            writer.transport.abort()
        assert len(found.far.tunnels.of(MALLORY)) == 1
        assert found.reached == 0
