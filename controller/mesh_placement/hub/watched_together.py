"""Watch caches that are run, and complete, together."""

import asyncio
from abc import ABC, abstractmethod
from typing import Any, Never

from mesh_runtime.kube import Informer


class WatchedTogether(ABC):
    """Whoever inherits it says which they are."""

    @property
    @abstractmethod
    def _all(self) -> tuple[Informer[Any], ...]:
        """The caches; Any: of several types."""

    @property
    def is_synced(self) -> bool:
        """Whether every cache has had its first list."""
        return all(one.synced.is_set() for one in self._all)

    async def until_synced(self) -> None:
        """Return when every cache has had its first list."""
        for one in self._all:
            await one.synced.wait()

    async def run(self) -> Never:
        """Watch, for ever."""
        async with asyncio.TaskGroup() as group:
            for one in self._all:
                group.create_task(one.run())
        raise AssertionError("a watch cache ended by itself")
