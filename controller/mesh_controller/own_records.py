"""What this cluster exports, as a log for its peers; kept by every replica, leading or not.

1. The log is offered to peers only after every export of the first complete caches is in it: a peer takes
   a complete list for the truth and deletes what is missing.
2. Of one Service the shards are told before the record and dropped after it, and only those that changed:
   the change of one endpoint is one shard, and the record too only when a count changed.
3. A cluster that leaves (`mesh_core.leaving`) tells of nothing.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable

from mesh_controller.caches import Caches, ServiceKey
from mesh_controller.look import Look
from mesh_core.leaving import leaving_since
from mesh_core.names import TRUST_BUNDLE
from mesh_core.objects import ServiceExport
from mesh_core.peer_log import RecordLog
from mesh_core.record import ExportRecord
from mesh_core.unexports import MOST
from mesh_runtime.latest import Latest
from mesh_runtime.work import WorkQueue, work


class OwnRecords:
    """The log, and the revision that it has reached; make it before the caches run."""

    def __init__(self, *, caches: Caches, look: Look) -> None:
        self.log = RecordLog(epoch=uuid.uuid4().hex)
        self.revision: Latest[int] = Latest()
        self.filled = asyncio.Event()
        self._caches = caches
        self._look = look
        self._shards: dict[ServiceKey, frozenset[str]] = {}
        self._queue: WorkQueue[ServiceKey] = WorkQueue()
        self._is_leaving = False
        # UIDs of exports that are deleted and not dropped from the log yet; and those that are, since when.
        self._deleted: dict[ServiceKey, list[str]] = {}
        self._unexported: deque[tuple[int, str]] = deque(maxlen=MOST)
        self._on_unexport: list[Callable[[], None]] = []
        caches.exports.follow(self._note_deleted)
        caches.feed_own_exports(self._queue)
        caches.trust.on_change(self._leave_or_stay)

    @property
    def is_current(self) -> bool:
        """Whether a list of what we export, told now, would lack nothing."""
        return self._caches.own_exports_are_current

    @property
    def unseen(self) -> int:
        """For how many seconds a list of what we export may be out of date; 0 while it is not."""
        return self._caches.exports_unseen(now=asyncio.get_running_loop().time())

    def on_unexport(self, listener: Callable[[], None]) -> None:
        """Call `listener` when the log has dropped exports, or had never told of them."""
        self._on_unexport.append(listener)

    def unexported(self, *, until: int) -> tuple[str, ...]:
        """UIDs of the newest exports that the log had dropped at the revision `until`, in that order."""
        return tuple(uid for revision, uid in self._unexported if revision <= until)

    async def run(self) -> None:
        """Follow the caches, for ever."""
        await self._caches.until_synced()
        for export in self._caches.exports.values():
            self._tell(export.key)
        self.filled.set()
        await work(self._queue, self._reconcile, name="own record")

    def _note_deleted(self, key: ServiceKey, old: ServiceExport | None, new: ServiceExport | None) -> None:
        if old is not None and old.metadata.uid and (new is None or new.metadata.uid != old.metadata.uid):
            self._deleted.setdefault(key, []).append(old.metadata.uid)

    async def _reconcile(self, key: ServiceKey) -> None:
        self._tell(key)

    def _leave_or_stay(self) -> None:
        is_leaving = bool(leaving_since(self._caches.trust.get(TRUST_BUNDLE)))
        if is_leaving != self._is_leaving:
            self._is_leaving = is_leaving
            for export in self._caches.exports.values():
                self._queue.add(export.key)

    def _tell(self, key: ServiceKey) -> None:
        before = self.log.revision
        told_before = self.log.told(key)
        decision = None if self._is_leaving else self._look.own_export(key)
        record = decision.record if decision is not None else None
        told = self._shards.pop(key, frozenset())
        shards = () if self._is_leaving else self._look.own_shards(key)
        names = frozenset(shard.shard for shard in shards)
        if names:
            self._shards[key] = names
        for shard in shards:
            self.log.put(shard)
        if record is None:
            self.log.drop((*key, ""))
        else:
            self.log.put(record)
        for gone in sorted(told - names):
            self.log.drop((*key, gone))
        deleted = self._deleted.pop(key, ())
        if not isinstance(told_before, ExportRecord) or told_before.type != "Headless":
            self._unexported.extend((self.log.revision, uid) for uid in deleted)
            for listener in self._on_unexport if deleted else ():
                listener()
        if self.log.revision != before:
            self.revision.publish(self.log.revision)
