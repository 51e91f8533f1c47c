"""Whether this cluster leaves, and which peers have taken in that it exports nothing any more.

Run by every replica: each has streams of its own, and the peer that acknowledges does so to one of them.
"""

from mesh_controller.act import Writer
from mesh_controller.caches import Caches
from mesh_core.leaving import leaving_since, plan_withdrawn
from mesh_core.names import TRUST_BUNDLE
from mesh_runtime.clock import Clock
from mesh_runtime.latest import Latest
from mesh_runtime.log import logger
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)


class LeavingWatch:
    """Make it before the caches run."""

    def __init__(self, caches: Caches, *, writer: Writer, clock: Clock) -> None:
        self.since: Latest[str] = Latest()
        """Since when this cluster leaves; None while it does not."""
        self._caches = caches
        self._writer = writer
        self._clock = clock
        self._acknowledged: set[str] = set()
        self._queue: WorkQueue[str] = WorkQueue()
        caches.trust.on_change(self._look)
        caches.peers.feed(self._queue, lambda peer: (peer.metadata.name,))

    def acknowledged(self, cluster: str) -> None:
        """The peer knows that nothing is exported."""
        if cluster not in self._acknowledged:
            _log.info("a peer knows that this cluster leaves", peer=cluster)
        self._acknowledged.add(cluster)
        self._queue.add(cluster)

    async def run(self) -> None:
        """Write, for ever."""
        await work(self._queue, self._show, name="leaving")

    def _look(self) -> None:
        since = leaving_since(self._caches.trust.get(TRUST_BUNDLE)) or None
        if since == self.since.value:
            return
        _log.info("this cluster leaves" if since else "this cluster stays", since=since or "")
        self._acknowledged.clear()
        self.since.publish(since)
        for peer in self._caches.peers.values():
            self._queue.add(peer.metadata.name)

    async def _show(self, cluster: str) -> None:
        peer = self._caches.peers.get(cluster)
        if peer is None:
            return
        plan = plan_withdrawn(
            peer,
            since=self.since.value or "",
            acknowledged=cluster in self._acknowledged,
            now=self._clock(),
        )
        await self._writer.write(plan)
