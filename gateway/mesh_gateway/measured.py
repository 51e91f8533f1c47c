"""What a gateway measures of the way to a peer, beside whether it is open, for MeshPeers.

1. The round trip is that of the quickest tunnel.
2. The headroom is the share of streams that tunnels of the moment may still carry. Both ends' streams count;
   the other end's bounds are taken to be ours, because nobody is told them.
3. Of the certificates that the peer's gateways showed the one that ends last counts: an older one is that of
   a tunnel from before a renewal, which is replaced in time.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from mesh_gateway.limits import Limits
from mesh_gateway.tunnel import Tunnel


@dataclass(frozen=True, slots=True)
class Measured:
    """Of the way to one peer: seconds, a share from 0 to 1, and seconds since 1970 (infinite: unknown)."""

    rtt: float
    headroom: float = 1.0
    cert_not_after: float = math.inf


def measured_in(tunnels: Iterable[Tunnel], *, limits: Limits) -> Measured | None:
    """Of these tunnels to one peer; None while no open one has answered a ping."""
    found = [tunnel for tunnel in tunnels if tunnel.is_open]
    rtts = [tunnel.rtt for tunnel in found if tunnel.rtt is not None]
    if not rtts:
        return None
    replicas = {tunnel.hello.replica for tunnel in found if tunnel.hello is not None}
    most = min(len(found) * limits.streams_per_tunnel, len(replicas) * limits.streams_per_peer)
    taken = sum(tunnel.streams for tunnel in found)
    ends = [tunnel.cert_not_after for tunnel in found if math.isfinite(tunnel.cert_not_after)]
    return Measured(min(rtts), max(0.0, 1.0 - taken / most), max(ends, default=math.inf))
