"""The names that were seen last: put into the table for a start without the API server, kept on disk after.

1. What was kept is believed until the API server's complete lists have been worked (`mesh_dns.names`).
2. Only what the API server said is kept: whoever tells of changes does so when the table is what it says.
3. A snapshot that does not read is told of in the log, and stops nothing: the table begins empty, as without.
   So does one whose reader was ended amid that, the next time.
4. The event loop turns while the table is filled: whoever looks after this process sees that it lives.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Never

from mesh_dns.snapshot import FILE_NAME, Zone, read_snapshot, write_snapshot
from mesh_dns.table import Table
from mesh_runtime.clock import Clock
from mesh_runtime.keeping import REST, Keeper
from mesh_runtime.log import logger
from mesh_runtime.snapshot_file import UnreadableSnapshot, delete_unfinished, trying

TURN = 0.02
"""Seconds that the table is filled before others have the loop; one service of 10,000 hosts takes longer."""

_log = logger(__name__)


class LastNames:
    """Of `table`, in `folder`, which must be there.

    `heard_ago` tells how many seconds ago the API server was heard, None for never (`Names.heard_ago`);
    `reader` is which of those it is that read in the folder: the workers of a pod.
    """

    def __init__(
        self,
        table: Table,
        *,
        folder: Path,
        clock: Clock,
        heard_ago: Callable[[], float | None],
        reader: str = "0",
    ) -> None:
        self._table = table
        self._reader = reader
        self._heard_ago = heard_ago
        self._folder = folder
        self._clock = clock
        self._keeper = Keeper(self._due, what="names", where=str(folder))

    @property
    def has_failed(self) -> bool:
        """Whether the disk did not take the last one."""
        return self._keeper.has_failed

    async def restore(self, *, turn: float = TURN) -> None:
        """Fill the table from the disk. Without a snapshot that reads, nothing changes."""
        try:
            with trying(self._folder / FILE_NAME, what="names", reader=self._reader):
                zone = await asyncio.to_thread(read_snapshot, self._folder)
                if zone is None:
                    return
                await self._fill(zone, turn=turn)
        except UnreadableSnapshot as error:
            _log.warning("names start from nothing", why=str(error))
            return
        age = self._clock().timestamp() - zone.heard
        _log.info("names start from the last snapshot", imports=len(zone.entries), age=max(0, round(age)))

    def changed(self) -> None:
        """Says that the table is what the API server says, and may hold something new."""
        self._keeper.changed()

    async def run(self, *, rest: float = REST) -> Never:
        """Keep what the table says, for ever. One process may do so in a folder."""
        with suppress(OSError):  # it is told of when the names are written
            delete_unfinished(self._folder / FILE_NAME)
        await self._keeper.run(rest=rest)

    async def _fill(self, zone: Zone, *, turn: float) -> None:
        now = asyncio.get_running_loop().time
        began = now()
        for (namespace, service), entry in zone.entries.items():
            self._table.put(entry, namespace=namespace, service=service)
            if now() - began >= turn:
                await asyncio.sleep(0)
                began = now()
        # With nothing more to put: it is complete now.
        self._table.restore({}, name_server=zone.name_server, heard=zone.heard)

    def _due(self) -> Callable[[], None] | None:
        ago = self._heard_ago()
        if ago is None:
            return None
        table = self._table
        zone = Zone(self._clock().timestamp() - ago, dict(table.entries), table.name_server)
        return partial(write_snapshot, zone, folder=self._folder)
