"""A plain TCP connection to one of several local endpoints, the least busy first."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from mesh_gateway.balance import least_open
from mesh_gateway.errors import NoEndpoint
from mesh_gateway.limits import Limits
from mesh_gateway.route import Address
from mesh_gateway.tcp_stream import TcpStream, keep_alive
from mesh_gateway.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Dialled:
    """A connection to `endpoint` on which nothing was sent yet."""

    endpoint: Address
    stream: TcpStream


class Dialler:
    """Connects to endpoints; knows from `traffic` how busy each of them is."""

    def __init__(self, *, traffic: Traffic, limits: Limits) -> None:
        self._traffic = traffic
        self._limits = limits
        self._turns = itertools.count()

    async def dial(self, endpoints: Sequence[Address]) -> Dialled:
        """The first of at most `Limits.endpoints` tries that succeeds. Raises NoEndpoint."""
        tried: set[Address] = set()
        why = "none is ready"
        while len(tried) < self._limits.endpoints:
            endpoint = least_open(
                endpoints, open_streams=self._traffic.open_streams, turn=next(self._turns), without=tried
            )
            if endpoint is None:
                break
            tried.add(endpoint)
            try:
                return Dialled(endpoint=endpoint, stream=await self._connect(endpoint))
            except TimeoutError:
                why = f"{endpoint}: no answer in time"
            except OSError as error:
                why = f"{endpoint}: {error.strerror or error}"
        raise NoEndpoint(why)

    async def _connect(self, endpoint: Address) -> TcpStream:
        async with asyncio.timeout(self._limits.connect):
            transport, stream = await asyncio.get_running_loop().create_connection(
                TcpStream, endpoint.host, endpoint.port
            )
        keep_alive(transport)
        return stream
