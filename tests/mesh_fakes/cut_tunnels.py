"""Clusters at the ends of tunnels in memory, which a test cuts at any byte, and one client to be served.

The egress half is the real one, so are sessions and streams; the far end is as simple as docs/wire.md allows.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import cast

from mesh_core.identity import ClusterId, cluster_id
from mesh_fakes.gateways import HELLO, Everybody, soon, table_of
from mesh_fakes.session_pair import Pair
from mesh_fakes.stream_pair import MemoryStream
from mesh_gateway.access_log import AccessLog
from mesh_gateway.balance import Weighted
from mesh_gateway.egress import EgressHalf
from mesh_gateway.errors import StreamRefused
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import GatewayMetrics
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opener import Target
from mesh_gateway.opening import Answer, Reason
from mesh_gateway.route import Address, Egress
from mesh_gateway.stream import Stream
from mesh_gateway.tcp_stream import TcpStream
from mesh_gateway.traffic import Traffic
from mesh_gateway.tunnel import Tunnel
from mesh_gateway.yamux import Farewell

PORT = 20_000


class Client(MemoryStream):
    """A local client's end of a connection, as the egress half sees it."""

    peer = ("10.244.0.7", 4711)
    sent = 0
    came = 0
    holds = 0


class Backend:
    """What reached a program in one cluster, by whichever way; it says it back."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.has_ended = False
        self.gone: bool | None = None
        self.stream: Stream | None = None

    def serve(self, stream: Stream) -> None:
        """Begins to read."""
        self.stream = stream
        stream.start(self)

    def bytes_came(self, data: bytes) -> None:
        self.data += data
        assert self.stream is not None
        self.stream.write(data)

    def bytes_ended(self) -> None:
        self.has_ended = True
        assert self.stream is not None
        self.stream.end()

    def send_paused(self) -> None:
        """It does not mind."""

    def send_resumed(self) -> None:
        """Nor here."""

    def stream_gone(self, *, cleanly: bool) -> None:
        self.gone = cleanly


class FarCluster:
    """A cluster at the other end of a tunnel, or of none (`has_tunnel`); it decides when it is told to."""

    def __init__(self, *, has_tunnel: bool) -> None:
        self.backend = Backend()
        self.pair = Pair()
        self.is_gone = not has_tunnel
        self.asked: MuxStream | None = None
        self.was_asked = False
        self.was_refused = False
        self.was_broken = False
        """Lost when something may have been delivered."""
        self.pair.server.hears = self._asked

    # As much of a `Tunnel` as the egress half uses

    @property
    def session(self) -> object:
        return self.pair.client.session

    def abort(self, why: str) -> None:
        self.cut()

    # For tests

    def accept(self) -> None:
        """Takes the stream that waits, if one does."""
        stream, self.asked = self.asked, None
        if stream is not None:
            stream.accept()
            self.backend.serve(stream)

    def refuse(self, *, with_words: bool) -> None:
        """Refuses it: with an answer, or by a reset, which says the same."""
        stream, self.asked = self.asked, None
        self.was_refused |= stream is not None
        if stream is not None and with_words:
            stream.refuse(Answer(Reason.NO_ENDPOINT.value))
        elif stream is not None:
            stream.abort()

    def go_away(self) -> None:
        """Takes no more streams."""
        self.pair.server.session.leave(Farewell.NORMAL)

    def move(self, size: int, *, back: bool) -> None:
        """Brings up to so many bytes one way."""
        if not self.is_gone:
            side = self.pair.server if back else self.pair.client
            side.flush()
            self.pair.deliver(side, size=size)

    def hold(self, *, on: bool) -> None:
        """The connection takes nothing for now, or takes it again."""
        if on:
            self.pair.client.session.blocked = True
        else:
            self.pair.client.unblock()

    def cut(self) -> None:
        """The tunnel is lost at both ends, with all that was on its way."""
        if self.is_gone:
            return
        self.is_gone = True
        streams = self.pair.client.session.streams.values()
        self.was_broken = any(stream.sent for stream in streams)
        self.pair.client.session.lose()
        self.pair.server.session.lose()

    def _asked(self, stream: MuxStream, message: bytes | None) -> None:
        if message is None:
            stream.abort()  # the opening was cut
            return
        assert not self.was_asked, "nobody is asked twice for one client"
        self.asked, self.was_asked = stream, True


class Ground:
    """The egress half, clusters by name, and a client. Needs a running loop."""

    def __init__(
        self, clusters: Mapping[str, FarCluster], *, direct: Mapping[str, bool], group: asyncio.TaskGroup
    ) -> None:
        """`direct` says which clusters without a tunnel take a connection of its own."""
        self.clusters = clusters
        self._direct = direct
        limits = Limits()
        targets = tuple(Weighted(cluster_id(name), 1) for name in clusters)
        table = table_of(
            "west",
            egress={PORT: Egress(target=HELLO, targets=targets)},
            gateways={cluster_id(name): (Address("192.0.2.1", 15443),) for name in clusters},
        )
        self.traffic = Traffic(limits)
        self.half = EgressHalf(
            table=lambda: table,
            route_soon=lambda port: soon(table, port=port),
            sources=Everybody(),
            tunnels=self,
            opener=self,
            traffic=self.traffic,
            limits=limits,
            metrics=GatewayMetrics(),
            access=AccessLog(),
            group=group,
        )
        self.near, self.client = Client(), MemoryStream()
        self.near.other, self.client.other = self.client, self.near
        self.half.accept(PORT, cast(TcpStream, self.near))

    def best(self, cluster: ClusterId, *, without: Collection[Tunnel] = ()) -> Tunnel | None:
        """As `Ways`."""
        found = self.clusters[cluster]
        tunnel = cast(Tunnel, found)
        if found.is_gone or tunnel in without or found.pair.client.reason is not None:
            return None
        return tunnel

    async def open(self, target: Target) -> Stream:
        """As `StreamOpener`."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if not self._direct[target.cluster]:
            raise StreamRefused(cluster=target.cluster, why="it is a test")
        ours, theirs = Client(), Client()
        ours.other, theirs.other = theirs, ours
        self.clusters[target.cluster].backend.serve(theirs)
        return ours
