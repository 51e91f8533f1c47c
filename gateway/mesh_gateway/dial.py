"""A plain TCP connection to one of several local endpoints: which one, and how.

1. With affinity a client keeps one endpoint (`affinity`), otherwise the least busy is taken (`balance`);
   those that failed lately are left out (`ejection`). One that does not take the connection is replaced by
   another, up to `Limits.endpoints`: nothing was sent yet.
2. Only what says something of the endpoint counts against it, not that we have no file descriptor left.
3. It has no timer and no task of its own, and keep-alive is set later, if it lives so long: each of these
   would cost a third of what the connection takes of the loop.
"""

import asyncio
import errno
import itertools
from collections.abc import Collection
from typing import NamedTuple

from mesh_gateway.affinity import EndpointAffinity
from mesh_gateway.balance import least_open
from mesh_gateway.ejection import Ejection
from mesh_gateway.errors import NoEndpoint
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import Again, GatewayMetrics
from mesh_gateway.route import Address, Ingress
from mesh_gateway.tcp_stream import TcpStream, keep_alive
from mesh_gateway.time_limit import TimeLimit
from mesh_gateway.traffic import Traffic

_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""What a connection fails with when it is we who cannot."""


class Dialled(NamedTuple):
    """A connection to `endpoint` on which nothing was sent yet."""

    endpoint: Address
    stream: TcpStream


class Dialler:
    """Connects to endpoints; knows from `traffic` how busy each of them is. One for the whole process, so
    that what one service learns of an address holds for all."""

    def __init__(self, *, traffic: Traffic, limits: Limits, metrics: GatewayMetrics | None = None) -> None:
        self._traffic = traffic
        self._metrics = metrics or GatewayMetrics()
        self._tries = limits.endpoints
        self._limit = TimeLimit(limits.connect)
        self._turns = itertools.count()
        self._pending: dict[Address, int] = {}
        self._affinity = EndpointAffinity()
        self._ejection = Ejection()
        self._keeping = _KeepingAlive()

    @property
    def ejected(self) -> int:
        """How many endpoints failed lately and are left alone now."""
        return self._ejection.count(now=asyncio.get_running_loop().time())

    def choose(self, route: Ingress, *, client: str, without: Collection[Address] = ()) -> Address | None:
        """The endpoint for the next stream of `client` ("cluster/address"); None when there is no other."""
        endpoints = route.endpoints
        if len(endpoints) == 1:
            return None if endpoints[0] in without else endpoints[0]
        if not self._ejection.is_quiet:
            ejected = self._ejection.ejected(endpoints, now=asyncio.get_running_loop().time())
            # Those that were tried in vain are worse than those that only failed lately.
            chosen = self._among(route, client=client, without={*ejected, *without}) if ejected else None
            if chosen is not None:
                return chosen
        return self._among(route, client=client, without=without)

    async def dial(self, route: Ingress, *, client: str) -> Dialled:
        """The first of at most `Limits.endpoints` tries that succeeds. Raises NoEndpoint."""
        tried: tuple[Address, ...] = ()
        why = "none is ready"
        while len(tried) < self._tries:
            endpoint = self.choose(route, client=client, without=tried)
            if endpoint is None:
                break
            if tried:
                self._metrics.tried_again(Again.ENDPOINT)
            try:
                return Dialled(endpoint, await self._connect(endpoint))
            except TimeoutError:
                why = f"{endpoint}: no answer in time"
            except OSError as error:
                why = f"{endpoint}: {error.strerror or error}"
                if error.errno in _OURS:
                    raise NoEndpoint(f"it is this gateway that cannot: {error.strerror or error}") from error
            self._ejection.failed(endpoint, now=asyncio.get_running_loop().time())
            self._metrics.ejected()
            tried = *tried, endpoint
        raise NoEndpoint(why)

    def _among(self, route: Ingress, *, client: str, without: Collection[Address]) -> Address | None:
        if route.affinity:
            return self._affinity.endpoint(route.endpoints, client=client, without=without)
        return least_open(
            route.endpoints,
            open_streams=self._traffic.open_streams,
            pending=self._pending,
            turn=next(self._turns),
            without=without,
        )

    async def _connect(self, endpoint: Address) -> TcpStream:
        loop = asyncio.get_running_loop()
        if not self._ejection.is_quiet:
            self._ejection.asked(endpoint, now=loop.time())
        self._pending[endpoint] = self._pending.get(endpoint, 0) + 1
        try:
            with self._limit.wait():
                # With an address uvloop asks no resolver; a socket of our own costs half as much again.
                transport, stream = await loop.create_connection(TcpStream, endpoint.host, endpoint.port)
        finally:
            self._leave(endpoint)
        if not self._ejection.is_quiet:
            self._ejection.worked(endpoint)
        self._keeping.add(transport)
        return stream

    def _leave(self, endpoint: Address) -> None:
        left = self._pending[endpoint] - 1
        if left:
            self._pending[endpoint] = left
        else:
            del self._pending[endpoint]


class _KeepingAlive:
    """Sets keep-alive on connections that live longer than a moment: it takes 7 microseconds on uvloop, and
    the kernel heeds it after a minute of silence only."""

    _AFTER = 20.0
    _MOST = 1024  # connections that wait; most of them are closed by then

    def __init__(self) -> None:
        self._waiting: list[asyncio.BaseTransport] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, transport: asyncio.BaseTransport) -> None:
        self._waiting.append(transport)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._AFTER, self._set)
        elif len(self._waiting) >= self._MOST:
            self._timer.cancel()
            self._set()

    def _set(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, []
        for transport in waiting:
            keep_alive(transport)
