"""Keeps something on disk after changes, so seldom that it is no burden.

1. It is kept again after a change, at most once in `REST` seconds; when that takes long, so seldom that it
   takes a twentieth of the time.
2. A disk that does not take it is told of in the log, once until it does again, and stops nothing.
"""

import asyncio
from collections.abc import Callable
from typing import Never

from mesh_runtime.log import logger

_log = logger(__name__)

REST = 5.0
_SHARE = 20.0


class Keeper:
    """`look` gives the write that is due, None for none; it is done in a thread, and may block
    and raise OSError. `what` and `where` are for the log."""

    def __init__(self, look: Callable[[], Callable[[], None] | None], *, what: str, where: str) -> None:
        self._look = look
        self._what = what
        self._where = where
        self._changed = asyncio.Event()
        self.has_failed = False
        """Whether the disk did not take the last one."""

    def changed(self) -> None:
        """Says that there may be something new to keep."""
        self._changed.set()

    async def run(self, *, rest: float = REST) -> Never:
        """Keep, for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            await self._changed.wait()
            self._changed.clear()
            write = self._look()
            if write is None:
                continue
            began = clock()
            await self._write(write)
            await asyncio.sleep(max(rest, _SHARE * (clock() - began)))

    async def _write(self, write: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(write)
        except OSError as error:
            if not self.has_failed:
                _log.error("no snapshot is kept", what=self._what, folder=self._where, why=str(error))
            self.has_failed = True
        else:
            self.has_failed = False
