"""Shows in each MeshPeer which deleted ServiceExports its cluster has taken in (`mesh_core.unexports`).

Run by every replica, each for the peers that watch it. Only what is deleted while it runs is told.
"""

from mesh_controller.act import Writer
from mesh_controller.caches import Caches
from mesh_controller.own_records import OwnRecords
from mesh_core.unexports import plan_unexports
from mesh_runtime.work import WorkQueue, work


class UnexportsWatch:
    """`records` knows at which revision each was dropped."""

    def __init__(self, caches: Caches, *, records: OwnRecords, writer: Writer) -> None:
        self._caches = caches
        self._records = records
        self._writer = writer
        self._acknowledged: dict[str, int] = {}
        self._queue: WorkQueue[str] = WorkQueue()
        records.on_unexport(self._look)

    def acknowledged(self, cluster: str, revision: int) -> None:
        """The peer has taken in all of our log up to `revision`."""
        if revision > self._acknowledged.get(cluster, -1):
            self._acknowledged[cluster] = revision
            self._queue.add(cluster)

    async def run(self) -> None:
        """Write, for ever."""
        await work(self._queue, self._show, name="unexports")

    def _look(self) -> None:
        for cluster in self._acknowledged:
            self._queue.add(cluster)

    async def _show(self, cluster: str) -> None:
        peer = self._caches.peers.get(cluster)
        if peer is not None:
            applied = self._records.unexported(until=self._acknowledged[cluster])
            await self._writer.write(plan_unexports(peer, applied=applied))
