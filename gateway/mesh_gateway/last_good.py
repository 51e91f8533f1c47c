"""The objects that routes are made of: what the caches hold, and until they hold anything what was seen last.

1. What the caches hold always wins; what was kept on disk is dropped then.
2. It is kept again after a change, by one worker only, and at most once in `REST` seconds; when that takes
   long, so seldom that it takes a twentieth of the time.
3. A disk that does not take or give it is told of in the log, and stops nothing.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Never

from mesh_gateway.route_table import Objects
from mesh_gateway.snapshot import UnreadableSnapshot, read_snapshot, write_snapshot
from mesh_runtime.log import logger

_log = logger(__name__)

REST = 5.0
_SHARE = 20.0


class LastGood:
    """`live` gives what the caches hold, None until each was filled; `folder` None: nothing is kept.

    Reads the snapshot when it is made.
    """

    def __init__(self, live: Callable[[], Objects | None], *, folder: Path | None) -> None:
        self._live = live
        self._folder = folder
        self._changed = asyncio.Event()
        self._kept = _read(folder) if folder is not None else None
        self.has_failed = False
        """Whether the disk did not take the last one."""
        self.alive = asyncio.Event()
        """Set when the caches were filled."""

    def look(self) -> Objects | None:
        """The objects of the moment; None while there are none."""
        live = self._live()
        if live is None:
            return self._kept
        self._kept = None
        return live

    def changed(self) -> None:
        """Says that the caches may hold something new."""
        self._changed.set()
        if not self.alive.is_set() and self._live() is not None:
            self.alive.set()

    async def run(self, *, rest: float = REST) -> Never:
        """Keep what the caches hold, for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            await self._changed.wait()
            self._changed.clear()
            objects = self._live()
            if objects is None or self._folder is None:
                continue
            began = clock()
            await self._write(objects, folder=self._folder)
            await asyncio.sleep(max(rest, _SHARE * (clock() - began)))

    async def _write(self, objects: Objects, *, folder: Path) -> None:
        try:
            await asyncio.to_thread(write_snapshot, objects, folder=folder)
        except OSError as error:
            if not self.has_failed:
                _log.error("no snapshot of routes is kept", folder=str(folder), why=str(error))
            self.has_failed = True
        else:
            self.has_failed = False


def _read(folder: Path) -> Objects | None:
    try:
        found = read_snapshot(folder)
    except UnreadableSnapshot as error:
        _log.warning("routes start from nothing", why=str(error))
        return None
    if found is not None:
        _log.info("routes start from the last snapshot", slices=len(found.slices), imports=len(found.imports))
    return found
