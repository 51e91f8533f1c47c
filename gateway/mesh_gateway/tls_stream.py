"""A TLS 1.3 connection as a stream: our own pump over `ssl.SSLObject` and memory BIOs.

asyncio's and uvloop's TLS transports cannot end one way only, so the pump is ours:

1. Half close is close_notify (RFC 8446 section 6.1): our `end` sends one and reading goes on; theirs ends
   the bytes and writing goes on. TCP is closed when both have been sent.
2. A TCP end without close_notify is truncation, and counts as a reset.
3. Whatever the socket brings is decrypted at once, whole. OpenSSL breaks the connection when
   close_notify is sent while application data lies undecrypted ("application data after close notify");
   so nothing ever lies there, and back-pressure stops the socket instead.
4. A server's context is chosen before this object exists; contexts are never switched (ruling 3: Python
   then silently drops the demand for a certificate). Who the other side is, the caller asks of
   `tls_object` before he starts the stream.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import ClassVar

from mesh_gateway.errors import HandshakeFailed
from mesh_gateway.stream import LARGEST_READ, TLS_HIGH_MARK, TLS_LOW_MARK
from mesh_gateway.tcp_stream import MUCH, TcpStream
from mesh_runtime.tls import Believed

_RECORD = 16 * 1024
_PORTION = 4 * _RECORD

# What TLS answers of its own accord (key updates) is not under the writer's control: a peer that asks
# for answers and never reads them is cut off here.
_MOST_UNSENT = TLS_HIGH_MARK + 2 * LARGEST_READ

# What a socket brings lies here until it is decrypted, which is before anybody else reads: one for all.
_buffer = memoryview(bytearray(LARGEST_READ))


class TlsStream(TcpStream):
    """A stream over TLS. As a client it is the protocol of a new connection; as a server it takes over
    a connection whose first bytes were read (`take_over`). Then `handshake`, then `start`."""

    _HIGH_MARK: ClassVar[int] = TLS_HIGH_MARK
    _LOW_MARK: ClassVar[int] = TLS_LOW_MARK

    __slots__ = ("_broken", "_incoming", "_open", "_outgoing", "_shaken", "believed", "tls_object")

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_name: str | None,
        broken: Callable[[str], None] | None = None,
    ) -> None:
        """`server_name` is what a client asks for; None makes a server.

        `broken` hears the reason when TLS fails after the handshake: this is how a client learns that its
        certificate was not accepted (RFC 8446 appendix E.1.2).
        """
        super().__init__()
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls_object = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_name is None,
            server_hostname=server_name,
        )
        self._shaken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open = False
        self._broken = broken
        self.believed: Believed | None = None
        """By which keys the other end was believed, where that was asked."""

    def take_over(self, transport: asyncio.Transport, *, received: bytes) -> None:
        """Begins the handshake as a server on a paused connection of which `received` was read."""
        self.adopt(transport)
        if self._gone:
            self._fail("the connection was reset")
            return
        self._incoming.write(received)
        self._shake_hands()
        transport.resume_reading()

    async def handshake(self) -> None:
        """Returns when both sides have what they need to send. Limits are the caller's.

        Raises HandshakeFailed. Cancelled, it resets the connection.
        """
        try:
            await self._shaken
        except asyncio.CancelledError:
            self.abort()
            raise

    def duplicate(self) -> None:
        """None: what the connection brings is not what the stream does."""

    # Stream

    def write(self, data: bytes) -> None:
        if self._ended or self._aborted or self._gone:
            return
        write = self.tls_object.write
        size = len(data)
        self.sent += size
        if self.sent > MUCH and not self._carries_much:
            self._carry_much()
        at = write(data)  # one record at most
        if at < size:
            view = memoryview(data)
            while at < size:
                at += write(view[at:])
        self._transport.write(self._outgoing.read())

    def write_all(self, pieces: Sequence[bytes | memoryview]) -> None:
        """As `write` of all pieces joined, without joining the long ones."""
        if self._ended or self._aborted or self._gone:
            return
        write = self.tls_object.write
        outgoing = self._outgoing
        for piece in pieces:
            size = len(piece)
            if size <= _RECORD:
                write(piece)
            else:
                view = memoryview(piece)
                at = 0
                while at < size:
                    at += write(view[at:])
                    if outgoing.pending >= _PORTION:
                        # The buffer of ciphertext stays small, so that it stays in the cache.
                        self._transport.write(outgoing.read())
        self._transport.write(outgoing.read())

    def end(self) -> None:
        if self._ended or self._aborted or self._gone:
            return
        self._ended = True
        try:
            self.tls_object.unwrap()
        except ssl.SSLWantReadError:
            pass  # sent; unwrap would also like to see theirs, which may take hours
        except ssl.SSLError:
            self.abort()
            return
        self._flush()
        if self._bytes_ended:
            self._transport.close()

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._shake_hands()
        self._transport.resume_reading()

    def get_buffer(self, _sizehint: int) -> memoryview:
        return _buffer

    def buffer_updated(self, size: int) -> None:
        if self._bytes_ended:
            return  # RFC 8446 section 6.1: data after close_notify is ignored
        self._incoming.write(_buffer[:size])
        if self._open:
            self._decrypt()
        else:
            self._shake_hands()

    def eof_received(self) -> bool:
        if self._bytes_ended:
            return True  # their FIN after their close_notify; ours comes in its time
        self._fail("the other side closed the connection", closed=True)
        self.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("the connection was reset", closed=True)
        super().connection_lost(exc)

    # The pump

    def _shake_hands(self) -> None:
        try:
            self.tls_object.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()  # the alert tells an honest peer what is wrong
            self._fail(_reason(error))
            self._transport.close()
            return
        self._open = True
        self._transport.pause_reading()
        self._flush()
        if not self._shaken.done():
            self._shaken.set_result(None)
        self._decrypt()

    def _decrypt(self) -> None:
        """Hands over all that can be read, record by record, and takes note of close_notify."""
        read = self.tls_object.read
        incoming = self._incoming
        closed = False
        try:
            # An empty BIO holds no record: asking all the same would cost an exception a read.
            while incoming.pending:
                piece = read(_RECORD)
                if not piece:
                    closed = True
                    break
                self._hand_over(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            closed = True  # how close_notify shows when ours was sent first
        except ssl.SSLError as error:
            if self._broken is not None:
                self._broken(_reason(error))
            self.abort()
            return
        if self._outgoing.pending and not self._gone:
            self._answer()
        if closed:
            self._peer_ended()

    def _answer(self) -> None:
        """Sends what TLS itself has to say, unless the peer lets it pile up."""
        if self._transport.get_write_buffer_size() > _MOST_UNSENT:
            self.abort()
        else:
            self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())

    def _fail(self, why: str, *, closed: bool = False) -> None:
        if not self._shaken.done():
            self._shaken.set_exception(HandshakeFailed(why, closed=closed))
            # Nobody may be waiting any more; the failure is no news then.
            self._shaken.exception()


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.reason or "protocol error").lower().replace("_", " ")
