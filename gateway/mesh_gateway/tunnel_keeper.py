"""Keeps a dialler for each peer that may be dialled.

1. Tunnels with a cluster that is no peer any more end at once, whoever dialled them.
2. When we believe in a root no more, or have another domain, all tunnels are replaced.
3. What the rules of trust refuse ends within a second of their change, in tunnels and beside them.
"""

import asyncio
from collections.abc import Callable

from mesh_core.identity import ClusterId
from mesh_core.trust import Trust
from mesh_gateway.contexts import Contexts
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import GatewayMetrics
from mesh_gateway.route import Address, RouteTable
from mesh_gateway.tunnel_dialler import PeerDialler
from mesh_gateway.tunnels import TunnelPool, Witness

_LOOK = 1.0
"""Seconds between two looks at whom we believe."""


class TunnelKeeper:
    """Follows the table of routes; its diallers are tasks of `group`."""

    def __init__(
        self,
        *,
        pool: TunnelPool,
        contexts: Callable[[], Contexts | None],
        limits: Limits,
        metrics: GatewayMetrics,
        witness: Witness,
        judge: Callable[[Trust], None],
        group: asyncio.TaskGroup,
    ) -> None:
        self._pool = pool
        self._contexts = contexts
        self._limits = limits
        self._metrics = metrics
        self._witness = witness
        self._judge = judge
        self._group = group
        self._gateways: dict[ClusterId, tuple[Address, ...]] = {}
        self._diallers: dict[ClusterId, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._stopped = False

    def follow(self, table: RouteTable) -> None:
        """A new table came."""
        if self._stopped:
            return
        if self._watch is None:
            self._watch = self._group.create_task(self._watch_trust())
        before = self._gateways
        self._gateways = {
            cluster: gateways for cluster, gateways in table.gateways.items() if cluster != table.cluster
        }
        for cluster in before.keys() - self._gateways.keys():
            self._pool.expel(cluster)
        for cluster, gateways in self._gateways.items():
            if gateways and cluster not in self._diallers:
                self._diallers[cluster] = self._group.create_task(self._dialler(cluster).run())
            elif gateways != before.get(cluster):
                self._pool.changed(cluster).set()
        for cluster in [known for known in self._diallers if not self._gateways.get(known)]:
            self._diallers.pop(cluster).cancel()

    def stop(self) -> None:
        """Dials no more."""
        self._stopped = True
        if self._watch is not None:
            self._watch.cancel()
        for task in self._diallers.values():
            task.cancel()
        self._diallers.clear()

    async def _watch_trust(self) -> None:
        seen: Contexts | None = None
        while True:
            contexts = self._contexts()
            if contexts is not None and contexts is not seen:
                if seen is not None and (seen.roots - contexts.roots or seen.domain != contexts.domain):
                    self._pool.renew()
                seen = contexts
            if contexts is not None:
                # Each time: a handshake that began under other rules may have ended just now.
                self._pool.judge(contexts.trust)
                self._judge(contexts.trust)
            await asyncio.sleep(_LOOK)

    def _dialler(self, cluster: ClusterId) -> PeerDialler:
        return PeerDialler(
            cluster,
            addresses=lambda: self._gateways.get(cluster, ()),
            contexts=self._contexts,
            pool=self._pool,
            limits=self._limits,
            metrics=self._metrics,
            witness=self._witness,
        )
