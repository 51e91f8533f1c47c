"""One end of a controllers' stream: frames over a TLS connection, and every wait has a limit.

Who the other end is was decided before (`mesh_runtime.tls`); what it may say is `mesh_core.peer_wire`.
"""

import asyncio
import ssl
from collections.abc import Iterable
from contextlib import suppress

from mesh_core.errors import Fault, MeshError
from mesh_core.peer_wire import FrameReader, Message, farewell, frame

SILENCE_LIMIT = 15.0
"""Seconds without a byte after which the other end is given up: three heartbeats."""
HEARTBEAT = 5.0
GREETING_LIMIT = 5.0
_SEND_LIMIT = 15.0
_CLOSE_LIMIT = 1.0
_READ_SIZE = 1 << 18
# Frames are joined up to about this many bytes before they go to TLS.
_WRITE_SIZE = 1 << 18


class StreamEnded(MeshError):
    """The connection is over, or the other end is silent."""

    fault = Fault.PEER

    def __init__(self, what: str) -> None:
        super().__init__(what, next_step="look at the peer's controller and the way to its gateway")


class PeerStream:
    """Messages over `reader` and `writer`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()
        self.taken = 0
        """Bytes that the last `receive` read."""

    @property
    def tls(self) -> ssl.SSLObject:
        """The connection's TLS state, handshake done."""
        found = self._writer.get_extra_info("ssl_object")
        assert isinstance(found, ssl.SSLObject)
        return found

    async def receive(self, *, limit: float = SILENCE_LIMIT) -> list[Message]:
        """The messages that the next bytes complete, perhaps none.

        Raises StreamEnded at the end or after `limit` seconds of silence, PeerProtocolError for bytes
        that break the protocol, ssl.SSLError when the other end refuses us.
        """
        try:
            async with asyncio.timeout(limit):
                data = await self._reader.read(_READ_SIZE)
        except TimeoutError as error:
            raise StreamEnded(f"nothing was heard for {limit:.0f} s") from error
        except ssl.SSLError:
            raise
        except OSError as error:
            raise StreamEnded(f"the connection broke ({error})") from error
        if not data:
            raise StreamEnded("the connection was closed")
        self.taken = len(data)
        return self._frames.feed(data)

    async def send(self, messages: Iterable[Message]) -> None:
        """Send `messages`; raises StreamEnded when the other end takes nothing any more."""
        batch = bytearray()
        for message in messages:
            batch += frame(message)
            if len(batch) >= _WRITE_SIZE:
                await self._drain(bytes(batch))
                batch.clear()
        if batch:
            await self._drain(bytes(batch))

    async def close(self, *, reason: str = "") -> None:
        """Say `reason`, if there is one, and close; never fails."""
        with suppress(OSError, MeshError, TimeoutError):
            async with asyncio.timeout(_CLOSE_LIMIT):
                if reason:
                    await self.send((farewell(reason),))
                self._writer.close()
                await self._writer.wait_closed()
        self._writer.transport.abort()

    async def _drain(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            async with asyncio.timeout(_SEND_LIMIT):
                await self._writer.drain()
        except TimeoutError as error:
            raise StreamEnded(f"the other end took nothing for {_SEND_LIMIT:.0f} s") from error
        except OSError as error:
            raise StreamEnded(f"the connection broke ({error})") from error
