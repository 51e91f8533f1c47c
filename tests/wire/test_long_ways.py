"""Over a long way: that it is known to be one, and how streams are spread over tunnels.

Eight streams of bulk over 50 ms once went by one tunnel of four, with windows that did not grow, because for
the first second no ping had been answered and a way of no known length counted as short.
"""

import asyncio
from collections.abc import Iterator
from typing import cast

import pytest

from mesh_core.identity import cluster_id
from mesh_fakes.frame_audit import ACK, DATA, PING, SYN, Frame, frames
from mesh_fakes.gateways import PATIENT, Seen, on_both_loops
from mesh_fakes.noted_wire import Wire
from mesh_fakes.session_pair import MESSAGE
from mesh_gateway.metrics import GatewayMetrics
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opening import Answer, Opening, TunnelHello, write_message
from mesh_gateway.tls_stream import TlsStream
from mesh_gateway.tunnel import Tunnel
from mesh_gateway.tunnel_hello import HelloTalk
from mesh_gateway.tunnels import TunnelPool

EAST = cluster_id("east")
WELCOME = write_message(Answer(hello=TunnelHello(cluster="east", replica="east-0")))
LONG = 0.05


def nobody_asks(_tunnel: Tunnel, _stream: MuxStream, _opening: Opening) -> None:
    raise AssertionError("nobody asks")


def nobody_hears(_stream: MuxStream, _message: bytes | None) -> None:
    """Nothing is answered."""


class Clock:
    """Stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def pool_of_west(clock: Clock | None = None) -> TunnelPool:
    return TunnelPool(
        talk=HelloTalk(lambda _cluster: TunnelHello(cluster="west", replica="west-0")),
        asked=nobody_asks,
        limits=PATIENT,
        metrics=GatewayMetrics(),
        witness=Seen(),
        fine_clock=clock or Clock(),
    )


def tunnel_of(pool: TunnelPool, wire: Wire) -> Tunnel:
    """One that is open, and none of whose pings was answered yet."""
    tunnel = pool.dialled(cast(TlsStream, wire), cluster=EAST)
    tunnel.bytes_came(bytes(Frame(DATA, ACK, 1, len(WELCOME), WELCOME)))
    assert tunnel.is_open
    return tunnel


# Pings


def pings(tunnel: Tunnel, wire: Wire) -> list[int]:
    """The numbers of those that have left since we looked last."""
    tunnel.flush_now()
    said = bytes(wire.said)
    wire.said.clear()
    return [frame.length for frame in frames(said) if frame.kind == PING and frame.flags == SYN]


@on_both_loops
async def test_a_tunnel_pings_at_once_and_a_few_times_more_until_the_way_is_known() -> None:
    wire = Wire()
    tunnel = tunnel_of(pool_of_west(), wire)
    asked = 0
    assert tunnel.rtt is None
    while found := pings(tunnel, wire):
        assert len(found) == 1, "one after the other"
        asked += 1
        tunnel.bytes_came(bytes(Frame(PING, ACK, 0, found[0])))
        assert tunnel.rtt is not None
        assert tunnel.session.rtt == tunnel.rtt
    assert asked == 3
    tunnel.bytes_came(bytes(Frame(PING, ACK, 0, 1)))
    assert not pings(tunnel, wire), "an answer to nothing asks nothing"


# Streams


def answered_after(tunnel: Tunnel, wire: Wire, *, clock: Clock, seconds: float) -> None:
    """One more ping, that was sent so long ago."""
    tunnel.tick(now=asyncio.get_running_loop().time(), ran=0.0, ask=True)
    clock.now += seconds
    tunnel.pong(pings(tunnel, wire)[-1])


def chosen(pool: TunnelPool, *, streams: int) -> Iterator[Tunnel]:
    for _ in range(streams):
        tunnel = pool.best(EAST)
        assert tunnel is not None
        tunnel.session.open(MESSAGE, answered=nobody_hears)
        yield tunnel


@pytest.mark.parametrize(
    ("rtt", "shares"),
    [(None, [2, 2, 2, 2]), (0.0005, [0, 0, 0, 8]), (LONG, [2, 2, 2, 2])],
    ids=["a way that is not known yet", "a short way", "a long way"],
)
@pytest.mark.asyncio
async def test_streams_are_spread_over_all_tunnels_unless_the_way_is_known_to_be_short(
    rtt: float | None, shares: list[int]
) -> None:
    pool = pool_of_west()
    tunnels = [tunnel_of(pool, Wire()) for _ in range(4)]
    for tunnel in tunnels:
        if rtt is not None:
            tunnel.session.rtt = rtt
    taken = list(chosen(pool, streams=8))
    assert sorted(taken.count(tunnel) for tunnel in tunnels) == shares


@pytest.mark.asyncio
async def test_a_tunnel_that_has_just_opened_gets_its_share_and_not_all() -> None:
    pool = pool_of_west()
    old = tunnel_of(pool, Wire())
    old.session.rtt = LONG
    assert set(chosen(pool, streams=4)) == {old}
    new = tunnel_of(pool, Wire())
    taken = list(chosen(pool, streams=8))
    assert (taken.count(old), taken.count(new)) == (2, 6), "six in each"


@pytest.mark.parametrize(
    ("quickest", "last", "is_left_alone"),
    [(LONG, LONG, False), (LONG, 1.4 * LONG, False), (LONG, 3 * LONG, True), (0.0005, 1.0, False)],
    ids=["nothing waits", "a little waits", "pings wait", "a short way"],
)
@pytest.mark.asyncio
async def test_over_a_long_way_a_tunnel_in_which_pings_wait_is_left_alone(
    quickest: float, last: float, *, is_left_alone: bool
) -> None:
    pool, wire = pool_of_west(clock := Clock()), Wire()
    tunnels = [tunnel_of(pool, wire), tunnel_of(pool, Wire())]
    for tunnel in tunnels:
        tunnel.session.rtt = quickest
    for seconds in (quickest, last):
        answered_after(tunnels[0], wire, clock=clock, seconds=seconds)
    tunnels[0].session.rtt = quickest
    taken = list(chosen(pool, streams=4))
    if is_left_alone:
        assert set(taken) == {tunnels[1]}
    else:
        assert tunnels[0] in taken
