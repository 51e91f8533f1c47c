"""Tunnels of ours on plain TCP connections, without TLS: for other implementations, and for raw bytes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

from mesh_core.identity import ClusterId, cluster_id
from mesh_fakes.gateways import LOOPBACK, PATIENT, Seen
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import GatewayMetrics
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opening import Opening, TunnelHello
from mesh_gateway.tcp_stream import TcpStream, listen
from mesh_gateway.tls_stream import TlsStream
from mesh_gateway.tunnel import Tunnel
from mesh_gateway.tunnel_hello import HelloTalk
from mesh_gateway.tunnels import TunnelPool

PEER = cluster_id("east")
# The machine may be busy with other things: a silence of some seconds means nothing.
CALM = replace(PATIENT, dead_after=20.0)


class PlainStream(TcpStream):
    """A TCP connection that takes many pieces at a time, as a TLS connection of ours does."""

    __slots__ = ()

    def write_all(self, pieces: Sequence[bytes | memoryview]) -> None:
        """As `TlsStream`."""
        for piece in pieces:
            self.write(bytes(piece))


def in_place_of_tls(stream: PlainStream) -> TlsStream:
    """The stream as one that a tunnel takes; it has all that a tunnel asks of it."""
    return cast(TlsStream, stream)


class PlainPool:
    """A pool of one gateway of cluster west, on plain connections; `pool` is the real one."""

    def __init__(
        self,
        *,
        asked: Callable[[Tunnel, MuxStream, Opening], None],
        limits: Limits = CALM,
        peer: ClusterId = PEER,
    ) -> None:
        self.witness = Seen()
        self.peer = peer
        self.pool = TunnelPool(
            talk=HelloTalk(lambda _cluster: TunnelHello(cluster="west", replica="west-0")),
            asked=asked,
            limits=limits,
            metrics=GatewayMetrics(),
            witness=self.witness,
        )

    async def dial(self, port: int) -> Tunnel:
        """A tunnel that we dial."""
        _, stream = await asyncio.get_running_loop().create_connection(PlainStream, LOOPBACK, port)
        return self.pool.dialled(in_place_of_tls(stream), cluster=self.peer)

    def accept(self, stream: TcpStream) -> None:
        """Takes a connection as a tunnel that the peer dialled."""
        assert isinstance(stream, PlainStream)
        self.pool.adopt(in_place_of_tls(stream), cluster=self.peer)


@asynccontextmanager
async def plain_pool(
    asked: Callable[[Tunnel, MuxStream, Opening], None], *, limits: Limits = CALM, peer: ClusterId = PEER
) -> AsyncIterator[tuple[PlainPool, int]]:
    """A pool, and the port at which it takes tunnels."""
    ours = PlainPool(asked=asked, limits=limits, peer=peer)
    server = await listen(lambda: PlainStream(accepted=ours.accept), LOOPBACK, port=0, backlog=64)
    watching = asyncio.create_task(ours.pool.run())
    try:
        yield ours, server.sockets[0].getsockname()[1]
    finally:
        watching.cancel()
        server.close()
        ours.pool.abort()
        await server.wait_closed()
