"""Keeps the table of routes: one rebuild after a burst of changes, swapped as a whole.

1. The event loop goes on: a table is computed in a thread (0.2 s for 5,000 imports of two slices each, in
   which the loop gets its turn every 5 ms, at worst after 0.1 s), and between two builds four times as
   long passes as the last one took, a second at most.
2. Ports are opened and closed to match before anything else is done; one that cannot be bound is tried
   again until it can. Established connections notice nothing of a new table.
3. Objects that cannot be had, or of which no table can be made, change nothing: the last table stays.
4. TCP ports that imports may get next are listened to in advance (`reserve`), and whoever comes to one can
   wait for its route.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from mesh_gateway.listeners import Listeners
from mesh_gateway.reserve import Reserve
from mesh_gateway.route import Egress, RouteTable
from mesh_gateway.route_table import Objects, route_table
from mesh_gateway.table_news import TableNews, table_news
from mesh_gateway.udp_ports import UdpPorts
from mesh_runtime.log import logger

_log = logger(__name__)

# Seconds after which ports that could not be bound are tried again.
_RETRY = 2.0
# Rest after a build, as a multiple of its time and in seconds at most.
_REST = 4.0
_LONGEST_REST = 1.0


class RouteKeeper:
    """`look` gives the objects of the moment, None while there are none; run it in a task group.

    `listeners` are for TCP; without `udp_ports` no UDP is carried. `replaced` hears of each new table, and
    `compute` makes one, in a thread.
    """

    def __init__(
        self,
        look: Callable[[], Objects | None],
        *,
        listeners: Listeners,
        udp_ports: UdpPorts | None = None,
        replaced: Callable[[RouteTable], None] = lambda _table: None,
        compute: Callable[[Objects], RouteTable] = route_table,
    ) -> None:
        self._look = look
        self._compute = compute
        self._listeners = listeners
        self._udp_ports = udp_ports
        self._replaced = replaced
        self._changed = asyncio.Event()
        self._table: RouteTable | None = None
        self._ready = False
        self._problem = ""
        self._reserve = Reserve()
        self._waiting: dict[int, list[asyncio.Future[None]]] = {}

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

    async def route_soon(self, port: int, *, limit: float) -> Egress | None:
        """The route of a local port, as soon as there is one; None after `limit` seconds without."""
        if self._table is not None and (route := self._table.egress.get(port)) is not None:
            return route
        came: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(port, [])
        waiting.append(came)
        try:
            async with asyncio.timeout(limit):
                await came
        except TimeoutError:
            return None
        finally:
            waiting.remove(came)
            if not waiting:
                del self._waiting[port]
        return self._table.egress.get(port) if self._table is not None else None

    async def run(self) -> None:
        """Follow the objects, for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_RETRY if self._some_fail else self._reserve.wait(clock())):
                    await self._changed.wait()
            self._changed.clear()
            started = clock()
            try:
                await self._rebuild()
            except Exception as error:
                # The same objects would bring it again after a restart: better the routes that there are.
                self._tell_defect(error)
            else:
                self._problem = ""
            await asyncio.sleep(min(_REST * (clock() - started), _LONGEST_REST))

    @property
    def _some_fail(self) -> bool:
        """Whether a port cannot be bound."""
        return bool(self._listeners.failing or (self._udp_ports is not None and self._udp_ports.failing))

    async def _rebuild(self) -> None:
        objects = self._look()
        if objects is None:
            return
        table, news = await asyncio.to_thread(self._made, objects)
        _tell(news)
        # From a snapshot nothing is known of addresses yet, and nothing is wrong with them.
        if objects.ground is not None and objects.ground.pods:
            self._tell_refused(table)
        self._table = table
        self._replaced(table)
        self._wake(table)
        spare = self._reserve.spare(table.egress.keys(), now=asyncio.get_running_loop().time())
        await self._listeners.match(table.ports("TCP"), spare=spare)
        if self._udp_ports is not None:
            await self._udp_ports.match(table.ports("UDP"))
        if not self._ready and not self._some_fail:
            _log.info("routes are served", ports=len(table.egress), names=len(table.ingress))
            self._ready = True

    def _made(self, objects: Objects) -> tuple[RouteTable, TableNews]:
        """In a thread, while nobody replaces the table."""
        table = self._compute(objects)
        return table, table_news(table, before=self._table)

    def _wake(self, table: RouteTable) -> None:
        """Tell those who wait for a route that has come."""
        for port in self._waiting.keys() & table.egress.keys():
            for came in self._waiting[port]:
                if not came.done():
                    came.set_result(None)

    def _tell_refused(self, table: RouteTable) -> None:
        new = table.refused - (self._table.refused if self._table else frozenset())
        if new:
            _log.warning(
                "endpoints of exports that are not pods of this cluster are not dialled; name their networks "
                "with --allow-external if they should be",
                endpoints=len(table.refused),
                such_as=min(new),
            )

    def _tell_defect(self, error: Exception) -> None:
        """Says once that no table can be made."""
        problem = f"{type(error).__name__}: {error}"
        if problem != self._problem:
            self._problem = problem
            _log.error("the routes cannot be made anew, and stay as they were", error=error)


def _tell(news: TableNews) -> None:
    for port, target in news.contested:
        _log.warning("port claimed twice; the older claim is served", port=port, not_for=str(target))
    if news.more_contested:
        _log.warning("more ports claimed twice", count=news.more_contested)
    for one in news.names:
        export = f"{one.namespace}/{one.service}"
        _log.warning("a public name is not given", name=one.name, export=export, why=one.why)
    if news.more_names:
        _log.warning("more public names not given", count=news.more_names)
