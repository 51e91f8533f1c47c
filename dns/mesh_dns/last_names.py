"""The names that were seen last: put into the table for a start without the API server, kept on disk after.

1. What was kept is believed until the API server's complete lists have been worked (`mesh_dns.names`).
2. Only what the API server said is kept: whoever tells of changes does so when the table is what it says.
3. A snapshot that does not read is told of in the log, and stops nothing: the table begins empty, as without.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Never

from mesh_dns.snapshot import Zone, read_snapshot, write_snapshot
from mesh_dns.table import Table
from mesh_runtime.clock import Clock
from mesh_runtime.keeping import REST, Keeper
from mesh_runtime.log import logger
from mesh_runtime.snapshot_file import UnreadableSnapshot

_log = logger(__name__)


class LastNames:
    """Of `table`, in `folder`, which must be there.

    `heard_ago` tells how many seconds ago the API server was heard, None for never (`Names.heard_ago`).
    """

    def __init__(
        self, table: Table, *, folder: Path, clock: Clock, heard_ago: Callable[[], float | None]
    ) -> None:
        self._table = table
        self._heard_ago = heard_ago
        self._folder = folder
        self._clock = clock
        self._keeper = Keeper(self._due, what="names", where=str(folder))

    @property
    def has_failed(self) -> bool:
        """Whether the disk did not take the last one."""
        return self._keeper.has_failed

    def restore(self) -> None:
        """Fill the table from the disk; blocks. Without a snapshot that reads, nothing changes."""
        try:
            zone = read_snapshot(self._folder)
        except UnreadableSnapshot as error:
            _log.warning("names start from nothing", why=str(error))
            return
        if zone is None:
            return
        self._table.restore(zone.entries, name_server=zone.name_server, heard=zone.heard)
        age = self._clock().timestamp() - zone.heard
        _log.info("names start from the last snapshot", imports=len(zone.entries), age=max(0, round(age)))

    def changed(self) -> None:
        """Says that the table is what the API server says, and may hold something new."""
        self._keeper.changed()

    async def run(self, *, rest: float = REST) -> Never:
        """Keep what the table says, for ever."""
        await self._keeper.run(rest=rest)

    def _due(self) -> Callable[[], None] | None:
        ago = self._heard_ago()
        if ago is None:
            return None
        table = self._table
        zone = Zone(self._clock().timestamp() - ago, dict(table.entries), table.name_server)
        return partial(write_snapshot, zone, folder=self._folder)
