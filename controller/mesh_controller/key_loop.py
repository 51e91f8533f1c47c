"""A loop over keys that works only while this replica leads.

1. The caches feed it all the time; keys that come while nobody works are dropped, because a term of
   leadership begins with all keys there are.
2. `first_pass` is set when each of these has been worked once, well or not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Generic, TypeVar

from mesh_controller.metrics_page import LoopReading
from mesh_core.errors import MeshError
from mesh_runtime.work import WorkQueue, work

K = TypeVar("K", bound=Hashable)


class KeyLoop(Generic[K]):
    """`workers` tasks that call `reconcile` for keys, beginning with `all_keys()`."""

    def __init__(
        self,
        reconcile: Callable[[K], Awaitable[float | None]],
        *,
        name: str,
        all_keys: Callable[[], Iterable[K]],
        workers: int = 1,
        is_urgent: Callable[[K], bool] | None = None,
    ) -> None:
        self.name = name
        self.first_pass = asyncio.Event()
        self._reconcile = reconcile
        self._all_keys = all_keys
        self._workers = workers
        self._is_urgent = is_urgent
        self._queue: WorkQueue[K] | None = None
        self._first: set[K] = set()
        self._since: dict[K, float] = {}
        self._held: dict[K, float] = {}
        self._failures = 0

    def add(self, key: K) -> None:
        """Ask for `key` to be worked, if anybody works."""
        if self._queue is not None:
            self._since.setdefault(key, _now())
            self._queue.add(key)

    def reading(self) -> LoopReading:
        """How it keeps its pace. What is tried again later waits on purpose, and counts as a failure only."""
        asked = [*self._since.values(), *self._held.values()]
        oldest = max(0.0, _now() - min(asked)) if asked else 0.0
        return LoopReading(waiting=len(self._since), oldest=oldest, failures=self._failures)

    @property
    def urgent(self) -> int:
        """How many urgent keys wait."""
        return self._queue.urgent if self._queue is not None else 0

    async def run(self) -> None:
        """Work, for ever, or until cancelled because another replica leads."""
        # A new queue for each term: keys that were in somebody's hands at the end of the last are lost.
        queue = self._queue = WorkQueue[K](is_urgent=self._is_urgent)
        self._first = set(self._all_keys())
        for key in sorted(self._first, key=repr):
            self.add(key)
        if not self._first:
            self.first_pass.set()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(work(queue, self._worked, name=self.name))
        finally:
            self._queue = None
            self._since.clear()

    async def _worked(self, key: K) -> float | None:
        self._held[key] = self._since.pop(key, _now())
        try:
            return await self._reconcile(key)
        except MeshError:
            self._failures += 1
            # It is tried again later, on purpose: who asked for it meanwhile is served by that, too.
            self._since.pop(key, None)
            raise
        finally:
            del self._held[key]
            self._first.discard(key)
            if not self._first:
                self.first_pass.set()


def _now() -> float:
    return asyncio.get_running_loop().time()
