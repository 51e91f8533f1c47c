"""The whole gateway, put together: both halves, what they carry, and how it ends."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from mesh_gateway.contexts import ContextKeeper, StandingReader
from mesh_gateway.doorway import Doorway
from mesh_gateway.egress import EgressHalf
from mesh_gateway.ingress import IngressHalf
from mesh_gateway.keeper import RouteKeeper
from mesh_gateway.limits import Limits
from mesh_gateway.listeners import Listeners
from mesh_gateway.opener import DirectOpener
from mesh_gateway.prober import Prober, WitnessingOpener
from mesh_gateway.route import Address, RouteTable
from mesh_gateway.route_table import Objects
from mesh_gateway.tcp_stream import listen
from mesh_gateway.traffic import Traffic
from mesh_runtime.binding import binding
from mesh_runtime.log import logger

_log = logger(__name__)


class _Stopped(Exception):
    """The work is done; ends the task group and never leaves this file."""


class Gateway:
    """Listens on one address only: there on `door.port` for peers, and on what the routes name.

    `leaf` gives what we show, `look` the objects that routes are made of, None while there are none; `prober`
    is told what comes of streams to peers.
    """

    def __init__(
        self,
        door: Address,
        *,
        leaf: StandingReader,
        look: Callable[[], Objects | None],
        limits: Limits,
        prober: Prober,
    ) -> None:
        self._door = door
        self._limits = limits
        self._stopping = False
        self._group = asyncio.TaskGroup()
        self._contexts = ContextKeeper(leaf)
        self._traffic = Traffic(limits)
        self._egress = EgressHalf(
            table=self._table,
            opener=WitnessingOpener(
                DirectOpener(lambda: self._contexts.current, limits=limits), prober=prober
            ),
            traffic=self._traffic,
            limits=limits,
            group=self._group,
        )
        self._ingress = IngressHalf(
            table=self._table,
            contexts=lambda: self._contexts.current,
            traffic=self._traffic,
            limits=limits,
            group=self._group,
        )
        self._listeners = Listeners(door.host, backlog=limits.backlog, accepted=self._egress.accept)
        self._keeper = RouteKeeper(look, listeners=self._listeners)

    @property
    def is_ready(self) -> bool:
        """Whether connections may be sent to us: a certificate to show, all routes listened to."""
        return not self._stopping and self._contexts.current is not None and self._keeper.is_ready

    def changed(self) -> None:
        """Says that what `look` gives may have changed."""
        self._keeper.changed()

    async def run(self, *, stop: asyncio.Event) -> None:
        """Serves until `stop` is set, then lets connections finish for a while, and resets the rest.

        Raises PortTaken.
        """
        try:
            async with self._group as group:
                keeping = group.create_task(self._keeper.run())
                door = await self._open_door()
                try:
                    await stop.wait()
                    self._stopping = True
                    _log.info("stopping", connections=self._traffic.admitted)
                    await asyncio.sleep(self._limits.farewell)
                    keeping.cancel()
                finally:
                    # Also when something else has failed: uvloop never ends with a server open.
                    door.close()
                    self._listeners.close()
                await self._drain()
                raise _Stopped
        except* _Stopped:
            _log.info("stopped")
        finally:
            self._traffic.abort()

    async def _open_door(self) -> asyncio.Server:
        with binding(self._door.port):
            return await listen(
                lambda: Doorway(accepted=self._ingress.accept),
                self._door.host,
                port=self._door.port,
                backlog=self._limits.backlog,
            )

    async def _drain(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.drain):
                await self._traffic.drained()
        if self._traffic.admitted:
            _log.warning("connections are reset at the end", connections=self._traffic.admitted)

    def _table(self) -> RouteTable | None:
        return self._keeper.table
