"""Connections to members that are kept for the next request, and how many there may be.

1. A connection is used for one request at a time, and given back only when that has ended cleanly.
2. One that said something unasked, or has ended, is not used again.
3. One member that answers nobody holds at most `MOST_AT_ONCE` requests; the next ones are told to wait.
"""

import asyncio
from collections import Counter
from typing import Final

from mesh_core.errors import EnvironmentFault
from mesh_placement.access.wire import Wire
from mesh_placement.decide.route import Route
from mesh_placement.way.dial import Tunnel, dial

MOST_AT_ONCE: Final = 512
_MOST_IDLE: Final = 32
_IDLE_SECONDS: Final = 60.0
"""Less than an API server waits (90 s), so that it is not closed in the moment of its use."""

_Key = tuple[str, str, int, str]


class TooMany(EnvironmentFault):
    """A member has as many requests as we let it have."""

    def __init__(self, cluster: str) -> None:
        super().__init__(
            f"{MOST_AT_ONCE} requests to {cluster} are under way", next_step="try again when some have ended"
        )


class Pool:
    """Connections by member, address and CA."""

    def __init__(self, *, tunnel: Tunnel | None) -> None:
        self._tunnel = tunnel
        self._idle: dict[_Key, list[tuple[float, Wire]]] = {}
        self._used: Counter[str] = Counter()
        self._sweeper: asyncio.TimerHandle | None = None

    async def take(self, route: Route, *, fresh: bool) -> tuple[Wire, bool]:
        """A connection, and whether it was used before; `fresh`: it must not have been.

        Raises WayClosed and TooMany, and what the tunnel raises.
        """
        if self._used[route.cluster] >= MOST_AT_ONCE:
            raise TooMany(route.cluster)
        kept = None if fresh else self._kept(route)
        self._used[route.cluster] += 1
        if kept is not None:
            return kept, True
        try:
            _, wire = await dial(route, Wire, tunnel=self._tunnel)
        except BaseException:
            self._leave(route)
            raise
        return wire, False

    def give(self, route: Route, wire: Wire, *, keeps: bool) -> None:
        """Give back what was taken; `keeps`: it is ready for the next request."""
        self._leave(route)
        idle = self._idle.setdefault(_key(route), [])
        if not keeps or not _is_good(wire) or len(idle) >= _MOST_IDLE:
            # One that is closing still has something to say.
            if not wire.transport.is_closing():
                wire.abort()
            return
        loop = asyncio.get_running_loop()
        idle.append((loop.time(), wire))
        if self._sweeper is None:
            self._sweeper = loop.call_later(_IDLE_SECONDS, self._sweep)

    def close(self) -> None:
        """End all that nobody uses."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for idle in self._idle.values():
            for _, wire in idle:
                wire.abort()
        self._idle.clear()

    def _kept(self, route: Route) -> Wire | None:
        # The one that was used last: what is too much grows old and goes.
        idle = self._idle.get(_key(route), [])
        while idle:
            _, wire = idle.pop()
            if _is_good(wire):
                return wire
            wire.abort()
        return None

    def _leave(self, route: Route) -> None:
        self._used[route.cluster] -= 1
        if not self._used[route.cluster]:
            del self._used[route.cluster]

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - _IDLE_SECONDS
        for key, idle in list(self._idle.items()):
            for since, wire in idle:
                if since <= oldest or not _is_good(wire):
                    wire.abort()
            self._idle[key] = [one for one in idle if one[0] > oldest and _is_good(one[1])]
            if not self._idle[key]:
                del self._idle[key]
        self._sweeper = loop.call_later(_IDLE_SECONDS / 2, self._sweep) if self._idle else None


def _is_good(wire: Wire) -> bool:
    return not wire.ended and not wire.waiting and not wire.transport.is_closing()


def _key(route: Route) -> _Key:
    return route.cluster, route.host, route.port, route.ca
