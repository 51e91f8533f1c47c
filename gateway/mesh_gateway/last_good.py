"""The objects that routes are made of: what the caches hold, and until they hold anything what was seen last.

1. What the caches hold always wins; what was kept on disk is dropped then.
2. It is kept again after a change (`mesh_runtime.keeping`), by one worker only.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Never

from mesh_gateway.route_table import Objects
from mesh_gateway.snapshot import read_snapshot, write_snapshot
from mesh_runtime.keeping import REST, Keeper
from mesh_runtime.log import logger
from mesh_runtime.snapshot_file import UnreadableSnapshot

_log = logger(__name__)


class LastGood:
    """`live` gives what the caches hold, None until each was filled; `folder` None: nothing is kept.

    Reads the snapshot when it is made.
    """

    def __init__(self, live: Callable[[], Objects | None], *, folder: Path | None) -> None:
        self._live = live
        self._folder = folder
        self._keeper = Keeper(self._due, what="routes", where=str(folder))
        self._kept = _read(folder) if folder is not None else None
        self.alive = asyncio.Event()
        """Set when the caches were filled."""

    @property
    def has_failed(self) -> bool:
        """Whether the disk did not take the last one."""
        return self._keeper.has_failed

    def look(self) -> Objects | None:
        """The objects of the moment; None while there are none."""
        live = self._live()
        if live is None:
            return self._kept
        self._kept = None
        return live

    def changed(self) -> None:
        """Says that the caches may hold something new."""
        self._keeper.changed()
        if not self.alive.is_set() and self._live() is not None:
            self.alive.set()

    async def run(self, *, rest: float = REST) -> Never:
        """Keep what the caches hold, for ever."""
        await self._keeper.run(rest=rest)

    def _due(self) -> Callable[[], None] | None:
        objects = self._live()
        if objects is None or self._folder is None:
            return None
        return partial(write_snapshot, objects, folder=self._folder)


def _read(folder: Path) -> Objects | None:
    try:
        found = read_snapshot(folder)
    except UnreadableSnapshot as error:
        _log.warning("routes start from nothing", why=str(error))
        return None
    if found is not None:
        _log.info("routes start from the last snapshot", slices=len(found.slices), imports=len(found.imports))
    return found
