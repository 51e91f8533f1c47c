"""The local ports of the egress half: opened and closed to match the table.

1. A port that cannot be bound does not keep the others from being opened; it is tried again by the next
   `match`, and logged once.
2. Closing a port touches no connection that was accepted through it.
3. Spare ports, which lead nowhere yet, are listened to in advance: kube-proxy may send somebody before we
   know the route (ruling 6). One that cannot be bound is nothing to speak of.

A listener costs 0.1 ms and 1 kB here, one without asyncio half as much: not worth a second kind.
"""

import asyncio
from collections.abc import Callable, Iterable

from mesh_gateway.tcp_stream import TcpStream, listen
from mesh_runtime.log import logger

_log = logger(__name__)

# Ports that are opened before the loop gets its turn; each takes some 100 microseconds.
_AT_ONCE = 50


class Listeners:
    """Listening sockets on one address, by port. `accepted` gets each connection with its port; with
    `reuse_port` other processes of ours listen there too."""

    def __init__(
        self,
        host: str,
        *,
        backlog: int,
        accepted: Callable[[int, TcpStream], None],
        reuse_port: bool = False,
    ) -> None:
        self._host = host
        self._backlog = backlog
        self._reuse_port = reuse_port
        self._accepted = accepted
        self._servers: dict[int, asyncio.Server] = {}
        self._failing: set[int] = set()

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
                lambda: TcpStream(accepted=lambda stream: self._accepted(port, stream)),
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
