"""Keeps tunnels to a peer: enough of them, and one to each of its gateways (ruling 7).

1. A tunnel that is missing is dialled at once, at the peer's addresses in turn. What fails, or opens and is
   soon gone, makes the next dial wait (`tunnel_pace`).
2. Which gateways the peer has, its hellos say. Behind one address there may be several, and chance decides
   which of them answers: while one has no tunnel it is tried some more times, and what came to a gateway
   that has enough is left again. A balancer that never gives it is tried again later, and said.
3. A tunnel that is worn is replaced: a new one first (`tunnel_plan`).
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

from mesh_core.identity import ClusterId
from mesh_gateway.contexts import Contexts
from mesh_gateway.errors import HandshakeFailed
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import GatewayMetrics
from mesh_gateway.reach import NoHostName, reach_gateway
from mesh_gateway.route import Address
from mesh_gateway.tunnel import Tunnel
from mesh_gateway.tunnel_life import shown_in
from mesh_gateway.tunnel_log import TunnelLog, plain
from mesh_gateway.tunnel_pace import STAYS, Pace, Tries
from mesh_gateway.tunnel_plan import is_surplus, plan_tunnels
from mesh_gateway.tunnels import TunnelPool, Witness
from mesh_runtime.clock import utc_now
from mesh_runtime.log import logger
from mesh_runtime.tls import PeerRefused

_log = logger(__name__)

_LOOK = 5.0
"""Seconds after which it is looked again whether all is well, whatever happens."""
_NO_CERTIFICATE = 0.2
"""The same while we have nothing to show."""
_GAP = 0.1
"""Seconds between two tries for a gateway that no dial has come to: a handshake costs the loop some."""
_AFTER_DEFECT = 10.0


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
        self._next = random.randrange(1 << 16)
        self._pace = Pace(jitter=random.random)
        self._tries = Tries()
        self._sought: frozenset[str] = frozenset()
        """The gateways without a tunnel for whose sake the next dial is."""
        self._fresh: dict[Tunnel, float] = {}
        """Tunnels that have not stayed yet, with the time at which they opened."""
        self._log = TunnelLog()
        self._blamed: Address | None = None
        """The address of which a problem was told last."""

    async def run(self) -> None:
        """Dial, for ever."""
        while True:
            try:
                await self._turn()
            except Exception as error:
                # A defect met with one peer must not end the others, whose task group this is.
                _log.error("dialling failed by a defect", peer=self._cluster, error=error)
                await asyncio.sleep(_AFTER_DEFECT)

    async def _turn(self) -> None:
        """One dial, or the wait for the time when it is due."""
        changed = self._pool.changed(self._cluster)
        changed.clear()
        now = asyncio.get_running_loop().time()
        self._judge(now=now)
        if pause := self._pace.wait(now=now):
            await asyncio.sleep(pause)
            return
        contexts, addresses = self._contexts(), self._addresses()
        if self._blamed is not None and self._blamed not in addresses:
            # No tunnel may be wanting that would tell so by opening.
            self._blame(None, "")
        if contexts is None or not addresses or not self._is_wanting(now=now, addresses=addresses):
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK if contexts is not None else _NO_CERTIFICATE):
                    await changed.wait()
            return
        self._next += 1
        tunnel = await self._dial(addresses[self._next % len(addresses)], contexts=contexts)
        now = asyncio.get_running_loop().time()
        if tunnel is None:
            self._metrics.reconnecting(self._cluster)
            self._pace.failed(now=now)
            return
        self._fresh[tunnel] = now
        if self._sought:
            if tunnel.hello is not None and tunnel.hello.replica in self._sought:
                self._tries.give_back()
            among, enough = self._pool.of(self._cluster), self._limits.tunnels_per_peer
            if is_surplus(tunnel, among=among, now=now, addresses=addresses, enough=enough):
                self._leave(tunnel)
            await asyncio.sleep(_GAP)

    def _judge(self, *, now: float) -> None:
        """Looks at what has become of the tunnels that were dialled last."""
        gone = [tunnel for tunnel in self._fresh if not tunnel.is_open]
        stayed = [tunnel for tunnel, since in self._fresh.items() if now - since >= STAYS and tunnel.is_open]
        for tunnel in (*gone, *stayed):
            del self._fresh[tunnel]
        if stayed:
            self._pace.stayed()
        if gone:
            self._metrics.reconnecting(self._cluster)
            self._pace.failed(now=now)

    def _is_wanting(self, *, now: float, addresses: tuple[Address, ...]) -> bool:
        """Whether one more tunnel is to be dialled; leaves those that are not needed any more."""
        self._sought = frozenset()
        tunnels = self._pool.of(self._cluster)
        enough = self._limits.tunnels_per_peer
        plan = plan_tunnels(tunnels, now=now, addresses=addresses, enough=enough)
        for tunnel in plan.leave:
            self._leave(tunnel)
        if plan.is_short or not plan.missing:
            return plan.is_short
        if not self._tries.take(now=now, gateways=len(plan.named)):
            self._log.unreached(self._cluster, gateways=plan.missing)
            return False
        self._sought = plan.missing
        return True

    async def _dial(self, address: Address, *, contexts: Contexts) -> Tunnel | None:
        """A tunnel that is open; None when there is none to be had at this address now."""
        began = asyncio.get_running_loop().time()
        try:
            stream, believed = await reach_gateway(
                address, cluster=self._cluster, contexts=contexts, limits=self._limits
            )
        except (HandshakeFailed, PeerRefused) as error:
            self._blame(address, plain(f"{address}: {error.what}"))
            return None
        except NoHostName as error:
            why = f"check spec.gateways of MeshPeer {self._cluster}: {address}: {error.strerror}"
            self._blame(address, plain(why))
            self._log.refused(self._cluster, why=why)
            return None
        except (TimeoutError, OSError):
            # No problem with tunnels but with the way, and that the prober tells.
            return None
        self._metrics.handshake(self._cluster, seconds=asyncio.get_running_loop().time() - began)
        shown = shown_in(stream.tls_object, now=utc_now())
        tunnel = self._pool.dialled(
            stream, cluster=self._cluster, believed=believed, way=address, shown=shown
        )
        return tunnel if await self._agreed(tunnel) else None

    def _blame(self, address: Address | None, why: str) -> None:
        self._blamed = address
        self._witness.problem(self._cluster, why)

    async def _agreed(self, tunnel: Tunnel) -> bool:
        changed = self._pool.changed(self._cluster)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.handshake):
                    while not (tunnel.is_open or tunnel.is_gone or tunnel.left_at is not None):
                        changed.clear()
                        await changed.wait()
        finally:
            # Also when this is cancelled: nobody would leave it who knows that it is of no use.
            if not tunnel.is_open:
                tunnel.abort("no hello came")
        return tunnel.is_open

    def _leave(self, tunnel: Tunnel) -> None:
        self._fresh.pop(tunnel, None)  # that it is gone soon is our doing
        tunnel.leave()
