"""Says on a MeshPeer that two clusters use its id; run by every replica, because every one serves streams."""

from collections.abc import Callable, Mapping

from mesh_controller.act import Writer
from mesh_controller.caches import Caches
from mesh_controller.rare_lines import RareLines
from mesh_core.peer_identity import plan_clash
from mesh_runtime.clock import Clock
from mesh_runtime.log import logger
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)


class IdentityWatch:
    """Knows who each peer was so far, and shows who else came under its id.

    `named` gives the UIDs that the signed roster states: a cluster that was rebuilt and let in again is who
    the root says, whoever was pinned before (ruling 1).
    """

    def __init__(
        self, caches: Caches, *, writer: Writer, clock: Clock, named: Callable[[], Mapping[str, str]]
    ) -> None:
        self._caches = caches
        self._writer = writer
        self._clock = clock
        self._named = named
        self._seen: dict[str, str] = {}
        self._lines = RareLines()
        self._queue: WorkQueue[str] = WorkQueue()

    def pinned(self, cluster: str) -> str:
        """The UID of kube-system of the cluster that this peer is, "" while that is not known."""
        named = self.named(cluster)
        if named:
            return named
        peer = self._caches.peers.get(cluster)
        return peer.status.kube_system_uid if peer is not None else ""

    def named(self, cluster: str) -> str:
        """The UID that the signed roster states for the peer, "" where it states none."""
        return self._named().get(cluster, "")

    def clash(self, cluster: str, *, why: str) -> None:
        """Another cluster came under the id of this peer."""
        if self._lines.is_due(cluster, why, key=cluster, now=self._clock().timestamp()):
            _log.error("two clusters use one identity", peer=cluster, why=why)
        self._seen[cluster] = why
        self._queue.add(cluster)

    async def run(self) -> None:
        """Write, for ever."""
        await work(self._queue, self._show, name="identity")

    async def _show(self, cluster: str) -> None:
        peer, why = self._caches.peers.get(cluster), self._seen.get(cluster)
        if peer is not None and why is not None:
            await self._writer.write(plan_clash(peer, message=why, now=self._clock()))
        self._seen.pop(cluster, None)
