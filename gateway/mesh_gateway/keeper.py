"""Keeps the table of routes: one rebuild after a burst of changes, swapped as a whole.

1. The event loop goes on: a table is computed in a thread (0.2 s for 5,000 imports of two slices each, in
   which the loop gets its turn every 5 ms, at worst after 0.1 s), and between two builds four times as
   long passes as the last one took, a second at most.
2. Ports are opened and closed to match before anything else is done; one that cannot be bound is tried
   again until it can. Established connections notice nothing of a new table.
3. Objects that cannot be had change nothing: the last table stays.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from mesh_gateway.listeners import Listeners
from mesh_gateway.route import RouteTable
from mesh_gateway.route_table import Objects, route_table
from mesh_runtime.log import logger

_log = logger(__name__)

# Seconds after which ports that could not be bound are tried again.
_RETRY = 2.0
# Rest after a build, as a multiple of its time and in seconds at most.
_REST = 4.0
_LONGEST_REST = 1.0


class RouteKeeper:
    """`look` gives the objects of the moment, None while there are none; run it in a task group."""

    def __init__(self, look: Callable[[], Objects | None], *, listeners: Listeners) -> None:
        self._look = look
        self._listeners = listeners
        self._changed = asyncio.Event()
        self._table: RouteTable | None = None
        self._ready = False

    @property
    def table(self) -> RouteTable | None:
        """The table of the moment; None before the first."""
        return self._table

    @property
    def is_ready(self) -> bool:
        """Whether all ports of a table were listened to once.

        It stays so: a later port that fails must not take the whole gateway out of service.
        """
        return self._ready

    def changed(self) -> None:
        """Says that the objects may have changed."""
        self._changed.set()

    async def run(self) -> None:
        """Follow the objects, for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_RETRY if self._listeners.failing else None):
                    await self._changed.wait()
            self._changed.clear()
            started = clock()
            await self._rebuild()
            await asyncio.sleep(min(_REST * (clock() - started), _LONGEST_REST))

    async def _rebuild(self) -> None:
        objects = self._look()
        if objects is None:
            return
        table = await asyncio.to_thread(route_table, objects)
        self._tell_contested(table)
        self._table = table
        await self._listeners.match(table.egress)
        if not self._ready and not self._listeners.failing:
            _log.info("routes are served", ports=len(table.egress), names=len(table.ingress))
            self._ready = True

    def _tell_contested(self, table: RouteTable) -> None:
        known = self._table.contested if self._table else ()
        for port, target in table.contested:
            if (port, target) not in known:
                _log.warning("port claimed twice; the older claim is served", port=port, not_for=str(target))
