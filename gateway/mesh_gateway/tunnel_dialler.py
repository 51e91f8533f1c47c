"""Keeps tunnels to a peer: enough of them, and one to each of its gateways (ruling 7).

1. A tunnel that is missing is dialled at once, at the peer's addresses in turn. Tries that fail are apart by
   a jittered pause that grows from 0.2 to 10 seconds.
2. Which gateways the peer has, its hellos say. Behind one address there may be several, and chance decides
   which of them answers: while one has no tunnel it is tried some more times, and what came to a gateway
   that has enough is left again. A balancer that never gives it is tried again after a minute, and said.
3. A tunnel that has lived for `tunnel_life` is replaced: a new one first, then the old one is left.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from mesh_core.identity import ClusterId
from mesh_core.names import ALPN_TUNNEL
from mesh_gateway.contexts import Contexts
from mesh_gateway.errors import HandshakeFailed
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import GatewayMetrics
from mesh_gateway.reach import reach
from mesh_gateway.route import Address
from mesh_gateway.tunnel import Tunnel
from mesh_gateway.tunnels import TunnelPool, Witness
from mesh_runtime.log import logger
from mesh_runtime.tls import PeerRefused

_log = logger(__name__)

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_TRIES = 8
"""So often a gateway without a tunnel is looked for behind the addresses, before a rest."""
_REST = 60.0
_LOOK = 5.0
"""Seconds after which it is looked again whether all is well, whatever happens."""


class PeerDialler:
    """Of one peer; run it in a task group. `addresses` gives those of the moment."""

    def __init__(
        self,
        cluster: ClusterId,
        *,
        addresses: Callable[[], tuple[Address, ...]],
        contexts: Callable[[], Contexts | None],
        pool: TunnelPool,
        limits: Limits,
        metrics: GatewayMetrics,
        witness: Witness,
    ) -> None:
        self._cluster = cluster
        self._addresses = addresses
        self._contexts = contexts
        self._pool = pool
        self._limits = limits
        self._metrics = metrics
        self._witness = witness
        self._turn = random.randrange(1 << 16)
        self._tries = 0
        self._rests_until = 0.0

    async def run(self) -> None:
        """Dial, for ever."""
        pause = _FIRST_PAUSE
        changed = self._pool.changed(self._cluster)
        while True:
            changed.clear()
            contexts, addresses = self._contexts(), self._addresses()
            if contexts is None or not addresses or not self._is_wanting():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK if contexts is not None else _FIRST_PAUSE):
                        await changed.wait()
                continue
            self._turn += 1
            address = addresses[self._turn % len(addresses)]
            if await self._dial(address, contexts=contexts):
                pause = _FIRST_PAUSE
                continue
            self._metrics.reconnecting(self._cluster)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _is_wanting(self) -> bool:
        """Whether one more tunnel is due."""
        now = asyncio.get_running_loop().time()
        mine = [tunnel for tunnel in self._pool.of(self._cluster) if tunnel.is_client and _counts(tunnel)]
        young = [tunnel for tunnel in mine if now - tunnel.since < self._limits.tunnel_life]
        if len(young) < self._limits.tunnels_per_peer:
            return True
        for old in set(mine) - set(young):
            old.leave()
        missing = self._missing()
        if not missing:
            self._tries = 0
            return False
        if now < self._rests_until:
            return False
        self._tries += 1
        if self._tries > _TRIES:
            self._tries, self._rests_until = 0, now + _REST
            text = f"no address of cluster {self._cluster} leads to its gateways {', '.join(sorted(missing))}"
            _log.warning(text, peer=self._cluster)
            return False
        return True

    def _missing(self) -> frozenset[str]:
        """Gateways of the peer that have no tunnel with us."""
        tunnels = [tunnel for tunnel in self._pool.of(self._cluster) if tunnel.is_open]
        named = {name for tunnel in tunnels if tunnel.hello for name in tunnel.hello.siblings}
        return frozenset(named - {tunnel.hello.replica for tunnel in tunnels if tunnel.hello})

    async def _dial(self, address: Address, *, contexts: Contexts) -> bool:
        """Whether a tunnel came of it that is open."""
        began = asyncio.get_running_loop().time()
        try:
            stream = await reach(
                address,
                cluster=self._cluster,
                domain=contexts.domain,
                context=contexts.tunnel_client,
                server_name=f"gateway.{self._cluster}.{contexts.domain}",
                alpn=ALPN_TUNNEL,
                limits=self._limits,
            )
        except (HandshakeFailed, PeerRefused) as error:
            self._witness.problem(self._cluster, f"{address}: {error.what}")
            return False
        except (TimeoutError, OSError):
            return False
        self._metrics.handshake(self._cluster, seconds=asyncio.get_running_loop().time() - began)
        tunnel = self._pool.dialled(stream, cluster=self._cluster)
        if not await self._agreed(tunnel):
            return False
        self._leave_surplus(tunnel)
        return True

    async def _agreed(self, tunnel: Tunnel) -> bool:
        changed = self._pool.changed(self._cluster)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.handshake):
                while not (tunnel.is_open or tunnel.is_gone):
                    changed.clear()
                    await changed.wait()
        if not tunnel.is_open:
            tunnel.abort("no hello came")
        return tunnel.is_open

    def _leave_surplus(self, tunnel: Tunnel) -> None:
        """Leaves a tunnel that was dialled for a gateway that lacks one, and came to another."""
        mine = [one for one in self._pool.of(self._cluster) if one.is_client and one.is_open and one.hello]
        if len(mine) <= self._limits.tunnels_per_peer:
            return
        held = Counter(one.hello.replica for one in mine if one.hello)
        if tunnel.hello is not None and held[tunnel.hello.replica] > 1:
            tunnel.leave()


def _counts(tunnel: Tunnel) -> bool:
    """Whether it is one that we have: open, or about to be."""
    return tunnel.is_open or (tunnel.hello is None and not tunnel.is_gone)
