"""A member's gateway that says in a tunnel whatever a test likes, byte by byte, on real TLS."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from mesh_core.names import ALPN_TUNNEL
from mesh_fakes.clusterset import DOMAIN, FakeClusterset
from mesh_fakes.frame_audit import ACK, DATA, SYN, Cutter, Frame
from mesh_fakes.gateways import Ingress, leaf_of
from mesh_gateway.opening import Answer, Opening, TunnelHello, read_answer, write_message
from mesh_runtime.tls import client_context

HELLO_STREAM = 1


class RawTunnel:
    """One end of a tunnel that was dialled; `frames` are all that came."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.frames: list[Frame] = []
        self._reader = reader
        self._writer = writer
        self._cutter = Cutter()

    def send(self, *frames: Frame | bytes) -> None:
        """Says this, soon."""
        self._writer.write(b"".join(map(bytes, frames)))

    async def drained(self) -> None:
        """Returns when most of it is on its way."""
        await self._writer.drain()

    async def read_until(self, enough: Callable[[Frame], bool]) -> Frame:
        """Reads on to the first such frame. Raises ConnectionError when the tunnel ends before."""
        while True:
            for at, frame in enumerate(self.frames):
                if enough(frame):
                    del self.frames[: at + 1]
                    return frame
            self.frames.clear()
            data = await self._reader.read(65536)
            if not data:
                raise ConnectionResetError("the tunnel has ended")
            self.frames += self._cutter.whole(data)

    async def answer(self, stream: int) -> Answer | None:
        """The answer on a stream; None for a reset without one."""
        frame = await self.read_until(lambda one: one.stream == stream and bool(one.flags or one.payload))
        return read_answer(frame.payload[2:]) if frame.payload else None

    async def payload(self, stream: int) -> bytes:
        """The next payload of a stream."""
        return (await self.read_until(lambda one: one.stream == stream and bool(one.payload))).payload

    async def is_lost(self) -> bool:
        """Reads to the end of the tunnel, and says that it came."""
        with suppress(ConnectionError):
            await self.read_until(lambda _frame: False)
        return True

    async def hello(self, cluster: str) -> None:
        """Says hello, and hears that it is taken."""
        await self.hello_on(HELLO_STREAM, cluster=cluster)

    async def hello_on(self, stream: int, *, cluster: str) -> None:
        """The same on another stream."""
        message = write_message(Opening(hello=TunnelHello(cluster=cluster, replica=f"{cluster}-0")))
        self.send(opening(stream, message=message))
        answer = await self.answer(stream)
        assert answer is not None
        assert answer.hello is not None


def opening(stream: int, *, message: bytes, payload: bytes = b"", flags: int = SYN) -> Frame:
    """A stream that begins with this message, whatever it is."""
    return Frame(DATA, flags, stream, len(message) + len(payload), message + payload)


def is_acknowledged(stream: int) -> Callable[[Frame], bool]:
    """Whether a frame answers the stream."""
    return lambda frame: frame.stream == stream and bool(frame.flags & ACK)


@asynccontextmanager
async def raw_tunnel(
    clusterset: FakeClusterset, far: Ingress, *, cluster: str = "mallory", greets: bool = True
) -> AsyncIterator[RawTunnel]:
    """A tunnel of the member `cluster` to an ingress half. Its kernel takes little that is not read."""
    standing = leaf_of(clusterset, cluster).current
    assert standing is not None
    context = client_context(standing.credentials, roots=standing.roots, alpn=[ALPN_TUNNEL])
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (far.address.host, far.address.port))
    reader, writer = await asyncio.open_connection(
        sock=sock, ssl=context, server_hostname=f"gateway.{far.cluster}.{DOMAIN}"
    )
    try:
        tunnel = RawTunnel(reader, writer)
        if greets:
            await tunnel.hello(cluster)
        yield tunnel
    finally:
        writer.transport.abort()
