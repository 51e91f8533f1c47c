"""The local ports of the egress half: opened and closed to match the table.

1. A port that cannot be bound does not keep the others from being opened; it is tried again by the next
   `match`, and logged once.
2. Closing a port touches no connection that was accepted through it.
3. When a connection is refused for want of a place, those behind it are dealt with at once (`crowd`).
4. Spare ports, which lead nowhere yet, are listened to in advance: kube-proxy may send somebody before we
   know the route (ruling 6). One that cannot be bound is nothing to speak of.

A listener costs 0.1 ms and 1 kB here, one without asyncio half as much: not worth a second kind.
"""

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Protocol

from mesh_gateway.crowd import turn_away
from mesh_gateway.tcp_stream import TcpStream, listen
from mesh_runtime.log import logger

_log = logger(__name__)

# Ports that are opened before the loop gets its turn; each takes some 100 microseconds.
_AT_ONCE = 50


class Places(Protocol):
    """Who knows whether there is a place for a connection (`egress.EgressHalf`)."""

    def is_full(self, host: str) -> bool:
        """Whether a connection from that source address would be refused for want of a place."""

    def turned_away(self, count: int) -> None:
        """So many were."""


class Listeners:
    """Listening sockets on one address, by port. `accepted` gets each connection with its port, and says
    whether there was a place for it; with `reuse_port` other processes of ours listen there too."""

    def __init__(
        self,
        host: str,
        *,
        backlog: int,
        accepted: Callable[[int, TcpStream], bool],
        places: Places | None = None,
        reuse_port: bool = False,
    ) -> None:
        self._host = host
        self._backlog = backlog
        self._reuse_port = reuse_port
        self._accepted = accepted
        self._places = places
        self._servers: dict[int, asyncio.Server] = {}
        self._failing: set[int] = set()
        self._welcomes: set[asyncio.Task[None]] = set()

    @property
    def ports(self) -> frozenset[int]:
        """The ports that are listened to."""
        return frozenset(self._servers)

    @property
    def failing(self) -> frozenset[int]:
        """The ports of the last `match` that could not be bound."""
        return frozenset(self._failing)

    async def match(self, wanted: Iterable[int], *, spare: Iterable[int] = ()) -> None:
        """Listens to the ports in `wanted`, then to the `spare` ones, and to no others."""
        ports = sorted(wanted)
        more = sorted(set(spare).difference(ports))
        for port in sorted(self._servers.keys() - {*ports, *more}):
            self._servers.pop(port).close()
        self._failing &= set(ports)
        missing = [port for port in (*ports, *more) if port not in self._servers]
        needed = frozenset(ports)
        for count, port in enumerate(missing, start=1):
            await self._listen(port, needed=port in needed)
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def close(self) -> None:
        """Listens to nothing any more."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    async def _listen(self, port: int, *, needed: bool) -> None:
        try:
            server = await listen(
                lambda: self._stream(port),
                self._host,
                port=port,
                backlog=self._backlog,
                reuse_port=self._reuse_port,
            )
        except OSError as error:
            if not needed:
                return
            if port not in self._failing:
                _log.error("port cannot be listened to; trying again", port=port, why=str(error))
            self._failing.add(port)
        else:
            self._failing.discard(port)
            self._servers[port] = server

    def _stream(self, port: int) -> TcpStream:
        return TcpStream(accepted=lambda stream: self._came(port, stream))

    def _came(self, port: int, stream: TcpStream) -> None:
        server = self._servers.get(port)
        if self._accepted(port, stream) or self._places is None or server is None:
            return
        crowd = turn_away([one.fileno() for one in server.sockets], is_full=self._places.is_full)
        self._places.turned_away(crowd.reset)
        if crowd.welcome is not None:
            task = asyncio.ensure_future(self._welcome(port, crowd.welcome))
            self._welcomes.add(task)
            task.add_done_callback(self._welcomes.discard)

    async def _welcome(self, port: int, client: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: self._stream(port), client)
        except OSError:
            client.close()
