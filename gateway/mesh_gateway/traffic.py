"""What is being carried: a bounded number of streams, and who carries how many.

A connection is admitted first, joined to its other half later, and counted until both halves are gone.
"""

import asyncio

from mesh_gateway.pump import Pump
from mesh_gateway.route import Address
from mesh_gateway.stream import Stream


class Traffic:
    """All streams of this process. `admit` and either `release` or `join` belong together."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._admitted = 0
        self._pumps: set[Pump] = set()
        self._open: dict[Address, int] = {}
        self._idle = asyncio.Event()
        self._idle.set()

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
        if self._admitted >= self._most:
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
        if endpoint is not None:
            self._open[endpoint] = self._open.get(endpoint, 0) + 1
        pump: Pump

        def finished() -> None:
            self._pumps.discard(pump)
            if endpoint is not None:
                self._leave(endpoint)
            self.release()

        pump = Pump(left, right, finished=finished)
        self._pumps.add(pump)
        pump.start()

    async def drained(self) -> None:
        """Returns when nothing is carried any more."""
        await self._idle.wait()

    def abort(self) -> None:
        """Resets whatever is still carried."""
        for pump in tuple(self._pumps):
            pump.abort()

    def _leave(self, endpoint: Address) -> None:
        left = self._open[endpoint] - 1
        if left:
            self._open[endpoint] = left
        else:
            del self._open[endpoint]
