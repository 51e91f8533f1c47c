"""What is being carried: a bounded number of streams, who carries how many, and how much waits.

1. A connection is admitted first, joined to its other half later, and counted until both halves are gone.
2. A stream whose reader does not keep up is stalled, and keeps at most 512 KiB each way (`stream`). No
   more than `stalled` of them are kept: then the one that stalled first is reset. So the memory for
   bytes under way is bounded by a number that does not grow with the number of connections.
"""

import asyncio

from mesh_gateway.limits import Limits
from mesh_gateway.pump import Pump
from mesh_gateway.refusals import Refusals
from mesh_gateway.route import Address
from mesh_gateway.stream import Stream


class Traffic:
    """All streams of this process. `admit` and either `release` or `join` belong together."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._admitted = 0
        self._pumps: dict[Pump, Address | None] = {}
        self._stalled: dict[Pump, None] = {}  # in the order in which they stalled
        self._open: dict[Address, int] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._refusals = Refusals("traffic")

    @property
    def admitted(self) -> int:
        """Connections that are being opened or carried."""
        return self._admitted

    @property
    def open_streams(self) -> dict[Address, int]:
        """Streams to each local endpoint that has any."""
        return self._open

    @property
    def unsent(self) -> int:
        """Bytes that wait in this process, of all streams."""
        return sum(pump.unsent for pump in self._pumps)

    def admit(self) -> bool:
        """Takes a place for a connection; False when all are taken."""
        if self._admitted >= self._limits.connections:
            return False
        self._admitted += 1
        self._idle.clear()
        return True

    def release(self) -> None:
        """Gives back the place of a connection that came to nothing."""
        self._admitted -= 1
        if self._admitted == 0:
            self._idle.set()

    def join(self, left: Stream, right: Stream, *, endpoint: Address | None = None) -> None:
        """Carries bytes between the two until both are gone; the place is given back then."""
        pump = Pump(left, right, watcher=self)
        self._pumps[pump] = endpoint
        if endpoint is not None:
            self._open[endpoint] = self._open.get(endpoint, 0) + 1
        pump.start()

    async def drained(self) -> None:
        """Returns when nothing is carried any more."""
        await self._idle.wait()

    def abort(self) -> None:
        """Resets whatever is still carried."""
        for pump in tuple(self._pumps):
            pump.abort()

    # PumpWatcher

    def stalled(self, pump: Pump) -> None:
        self._stalled.setdefault(pump)
        if len(self._stalled) > self._limits.stalled:
            oldest = next(iter(self._stalled))
            del self._stalled[oldest]
            self._refusals.note("reset, because too many streams have readers that do not keep up")
            oldest.abort()

    def flowing(self, pump: Pump) -> None:
        self._stalled.pop(pump, None)

    def finished(self, pump: Pump) -> None:
        self._stalled.pop(pump, None)
        endpoint = self._pumps.pop(pump)
        if endpoint is not None:
            self._leave(endpoint)
        self.release()

    def _leave(self, endpoint: Address) -> None:
        left = self._open[endpoint] - 1
        if left:
            self._open[endpoint] = left
        else:
            del self._open[endpoint]
