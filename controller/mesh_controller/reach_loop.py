"""What MeshPeers show of the way to each peer: look, think, act; run by the leading controller.

The gateways measure it and write their own entries; here is only the condition made of them, and the sweeping
away of entries that no gateway is there for. What is withdrawn is decided anew at each look at an import
(`mesh_core.reach`), and waits for nothing that is written here.
"""

from mesh_controller.act import Writer
from mesh_controller.caches import Caches, lists_gateways
from mesh_controller.key_loop import KeyLoop
from mesh_controller.look import Look
from mesh_core.objects import EndpointSlice
from mesh_core.path_report import plan_orphans, until_orphaned
from mesh_core.reach import plan_reachable
from mesh_runtime.clock import Clock


class ReachLoop:
    """Keeps the condition `Reachable` of every MeshPeer true. Make it before the caches run."""

    def __init__(self, *, caches: Caches, look: Look, writer: Writer, clock: Clock) -> None:
        self._caches = caches
        self._look = look
        self._writer = writer
        self._clock = clock
        self.loop: KeyLoop[str] = KeyLoop(
            self.reconcile, name="reach", all_keys=lambda: (p.metadata.name for p in caches.peers.values())
        )
        # What is said of one neighbour can decide about another.
        caches.peers.on_change(self._all_changed)
        caches.properties.on_change(self._all_changed)
        look.replicas.on_change(self._all_changed)
        caches.slices.follow(lambda _key, old, new: self._slice_changed(old, new))

    async def reconcile(self, name: str) -> float | None:
        """Show how the peer is reached; seconds until an entry is to be swept away."""
        peer = self._caches.peers.get(name)
        if peer is None or peer.metadata.deletion_timestamp is not None:
            return None
        pods, now = self._look.gateway_pods(), self._clock()
        plan = plan_reachable(peer, reach=self._look.reach, now=now)
        await self._writer.write(plan + plan_orphans(peer, gateways=pods, now=now))
        return until_orphaned(peer, gateways=pods, now=now)

    def _slice_changed(self, *states: EndpointSlice | None) -> None:
        if any(state is not None and lists_gateways(state) for state in states):
            self._all_changed()

    def _all_changed(self) -> None:
        for peer in self._caches.peers.values():
            self.loop.add(peer.metadata.name)
