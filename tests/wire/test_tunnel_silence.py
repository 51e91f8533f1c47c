"""When something was heard last in tunnels, what counts as hearing, and who is pinged meanwhile."""

import asyncio
import itertools
import struct
from typing import cast

import pytest

from mesh_core.identity import cluster_id
from mesh_fakes.frame_audit import ACK, DATA, PING, SYN, Frame, frames
from mesh_fakes.gateways import Seen
from mesh_fakes.noted_wire import Wire
from mesh_fakes.under_way import under_way
from mesh_gateway.acknowledged import TCP_INFO_SIZE
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import GatewayMetrics
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opening import Answer, Opening, TunnelHello, write_message
from mesh_gateway.tls_stream import TlsStream
from mesh_gateway.tunnel import Tunnel
from mesh_gateway.tunnel_hello import HelloTalk
from mesh_gateway.tunnels import TunnelPool

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

EAST = cluster_id("east")
WELCOME = write_message(Answer(hello=TunnelHello(cluster="east", replica="east-0")))


class Far(Wire):
    """The other end of a tunnel: answers pings at once while it is well. `pinged` is when it was."""

    def __init__(self) -> None:
        super().__init__()
        self.is_well = True
        self.pinged: list[float] = []
        self.takes = 0
        self.tunnel: Tunnel | None = None

    def write_all(self, pieces: object) -> None:
        said = b"".join(cast(list[bytes], pieces))
        for frame in frames(said):
            if frame.kind == PING and frame.flags == SYN:
                self.pinged.append(now())
                if self.is_well and self.tunnel is not None:
                    answer = bytes(Frame(PING, ACK, 0, frame.length))
                    asyncio.get_running_loop().call_later(0.001, self.tunnel.bytes_came, answer)

    def tcp_info(self) -> bytes:
        """So much was acknowledged, and much is under way."""
        made = bytearray(TCP_INFO_SIZE)
        struct.pack_into("=I", made, 144, 1_000_000)
        struct.pack_into("=Q", made, 120, self.takes)
        return bytes(made)


def now() -> float:
    return asyncio.get_running_loop().time()


def nobody_asks(_tunnel: Tunnel, _stream: MuxStream, _opening: Opening) -> None:
    raise AssertionError("nobody asks")


def pool_with(seen: Seen, *fars: Far) -> TunnelPool:
    """Open tunnels to each of these."""
    pool = TunnelPool(
        talk=HelloTalk(lambda _cluster: TunnelHello(cluster="west", replica="west-0")),
        asked=nobody_asks,
        limits=Limits(),
        metrics=GatewayMetrics(),
        witness=seen,
    )
    for far in fars:
        far.tunnel = pool.dialled(cast(TlsStream, far), cluster=EAST)
        far.tunnel.bytes_came(bytes(Frame(DATA, ACK, 1, len(WELCOME), WELCOME)))
    return pool


async def test_four_idle_tunnels_are_pinged_in_turn_so_that_the_peer_is_heard_four_times_a_second() -> None:
    seen, fars = Seen(), [Far() for _ in range(4)]
    pool = pool_with(seen, *fars)
    async with under_way(pool.run()):
        await asyncio.sleep(3)
        for far in fars:
            far.pinged.clear()
        began = now()
        await asyncio.sleep(20)
        counts = [len(far.pinged) for far in fars]
        assert all(18 <= count <= 21 for count in counts), f"{counts}: one a second each, no more than ever"
        asked = sorted(at for far in fars for at in far.pinged)
        assert max(b - a for a, b in itertools.pairwise(asked)) <= 0.51
        assert seen.silence["east"] <= 0.51
        assert asked[0] - began <= 0.51


async def test_a_tunnel_in_which_nothing_is_heard_is_pinged_at_each_look() -> None:
    seen, far = Seen(), Far()
    pool = pool_with(seen, far)
    async with under_way(pool.run()):
        await asyncio.sleep(2)
        far.is_well = False
        died = now()
        far.pinged.clear()
        await asyncio.sleep(2)
        assert len(far.pinged) >= 5
        assert seen.silence["east"] == pytest.approx(now() - died, abs=1.3)
        far.is_well = True
        await asyncio.sleep(0.5)
        assert seen.silence["east"] <= 0.3
        assert far.tunnel is not None and far.tunnel.is_open


async def test_a_silent_tunnel_beside_one_that_is_heard_makes_nobody_silent() -> None:
    seen, fars = Seen(), [Far(), Far()]
    pool = pool_with(seen, *fars)
    async with under_way(pool.run()):
        await asyncio.sleep(2)
        fars[0].is_well = False
        for _ in range(20):
            await asyncio.sleep(0.3)
            assert seen.silence["east"] <= 0.8
        assert fars[0].is_aborted and not fars[1].is_aborted


async def test_what_goes_on_being_taken_is_life_though_its_pings_wait_but_not_for_ever() -> None:
    """A ping behind bulk on a slow link waits for seconds; a program that hangs has a kernel that takes."""
    seen, far = Seen(), Far()
    pool = pool_with(seen, far)
    async with under_way(pool.run()):
        await asyncio.sleep(2)
        far.is_well = False
        for _ in range(36):
            far.takes += 10_000
            await asyncio.sleep(0.25)
            assert not far.is_aborted
        assert seen.silence["east"] <= 1.0
        for _ in range(24):
            far.takes += 10_000
            await asyncio.sleep(0.25)
        assert far.is_aborted


async def test_what_is_taken_no_more_is_no_life() -> None:
    seen, far = Seen(), Far()
    pool = pool_with(seen, far)
    async with under_way(pool.run()):
        await asyncio.sleep(2)
        far.is_well = False
        await asyncio.sleep(2.5)
        assert seen.silence["east"] >= 1.4
        await asyncio.sleep(2)
        assert far.is_aborted
