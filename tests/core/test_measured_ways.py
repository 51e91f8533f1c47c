"""What a gateway says of its tunnels to a peer: the quickest way, the room left, the last certificate."""

import math
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from mesh_gateway.limits import Limits
from mesh_gateway.measured import Measured, measured_in
from mesh_gateway.opening import TunnelHello
from mesh_gateway.tunnel import Tunnel

LIMITS = replace(Limits(), streams_per_tunnel=100, streams_per_peer=150)


@dataclass(frozen=True)
class Seen:
    """As much of a tunnel as is looked at."""

    streams: int = 0
    rtt: float | None = 0.03
    is_open: bool = True
    cert_not_after: float = math.inf
    hello: TunnelHello = field(default_factory=lambda: TunnelHello(cluster="west", replica="w0"))


OTHER = TunnelHello(cluster="west", replica="w1")


@pytest.mark.parametrize(
    ("tunnels", "found"),
    [
        ([], None),
        ([Seen(rtt=None)], None),
        ([Seen(is_open=False)], None),
        ([Seen()], Measured(0.03)),
        ([Seen(rtt=0.05), Seen(rtt=None), Seen(rtt=0.04)], Measured(0.04)),
        ([Seen(50)], Measured(0.03, 0.5)),
        ([Seen(50), Seen(50, is_open=False)], Measured(0.03, 0.5)),
        # Two tunnels to one gateway: what it takes of one peer is less than both would carry.
        ([Seen(75), Seen()], Measured(0.03, 0.5)),
        ([Seen(75), Seen(25, hello=OTHER)], Measured(0.03, 0.5)),
        ([Seen(400)], Measured(0.03, 0.0)),
        ([Seen(cert_not_after=7.0), Seen(cert_not_after=9.0), Seen()], Measured(0.03, cert_not_after=9.0)),
    ],
)
def test_open_tunnels_tell_how_the_way_is(tunnels: list[Seen], found: Measured | None) -> None:
    assert measured_in([cast(Tunnel, one) for one in tunnels], limits=LIMITS) == found
