"""A TCP connection as a stream, and the few things that our sockets have in common.

Half close is TCP's own FIN each way. A reset is a real RST (SO_LINGER of nought), so that the program at
the other end learns that the answer is cut off and not complete.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, ClassVar, cast

from mesh_gateway.acknowledged import TCP_INFO_SIZE
from mesh_gateway.stream import HIGH_MARK, LARGEST_READ, LOW_MARK, StreamReader

_NO_LINGER = struct.pack("ii", 1, 0)

# A connection may be idle for ever, but a far end that died is found in two minutes.
_KEEP_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)

TCP_NOTSENT_LOWAT = 25
"""linux/tcp.h; Python's socket module has no name for it."""
MUCH = 64 * 1024
"""Bytes after which a connection gets a bound on what the kernel keeps unsent for it. Most end before."""
_MOST_NOT_SENT = 256 * 1024
"""That bound. Without it the kernel keeps megabytes for a reader that does not read, ten thousand of which
put all TCP of the machine under memory pressure. With less the first window of a stream would not fit in, and
lie in our own memory."""


async def listen(
    factory: Callable[[], asyncio.BaseProtocol],
    host: str,
    *,
    port: int,
    backlog: int,
    reuse_port: bool = False,
) -> asyncio.Server:
    """Listens on one address and port (0: any); what it accepts inherits keep-alive (Linux).

    The backlog must hold a burst of callers: when it overflows, Linux answers with SYN cookies, and such
    a connection can lose its first byte without a trace (seen with one-byte segments).
    With `reuse_port` several processes of one user may listen on the same port.

    Raises OSError when the address or port cannot be bound.
    """
    # Any: where asyncio promises a tuple of sockets uvloop gives a list, which compiled code would refuse.
    server: Any = await asyncio.get_running_loop().create_server(
        factory, host, port, backlog=backlog, reuse_port=reuse_port or None, start_serving=False
    )
    try:
        # asyncio gives up the loop here: cancelled then, nobody else would know of what listens already.
        await server.start_serving()
    except BaseException:
        server.close()
        raise
    for listener in server.sockets:
        for level, option, value in _KEEP_ALIVE:
            listener.setsockopt(level, option, value)
    return cast(asyncio.Server, server)


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Lets the kernel find out when the far end of an idle connection has died; nothing when it is closing.

    One that was reset as soon as it was made is closed before whoever made it goes on, and has no socket
    then: its protocol hears of it.
    """
    if transport.is_closing():
        return
    sock: socket.socket = transport.get_extra_info("socket")
    for level, option, value in _KEEP_ALIVE:
        sock.setsockopt(level, option, value)


def reset(transport: asyncio.Transport) -> None:
    """Closes a TCP transport with RST and drops what it has not sent."""
    if not transport.is_closing():
        no_linger(transport.get_extra_info("socket"))
    transport.abort()


def no_linger(sock: socket.socket) -> None:
    """Lets the closing of a TCP socket send RST and drop what it has not sent."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)


# What a socket brings lies here until it is copied, at once: one for all. Its size is the most that one
# stream can bring while it is to be paused, and what a frame of a tunnel holds.
_buffer = memoryview(bytearray(64 * 1024))


class TcpStream(asyncio.BufferedProtocol):
    """A stream over a plain TCP connection.

    Made as a protocol (`accepted` is called when the connection is there), or put in charge of an open
    connection by `adopt`.
    """

    __slots__ = (
        "_aborted",
        "_accepted",
        "_bytes_ended",
        "_carries_much",
        "_early",
        "_ended",
        "_gone",
        "_paused",
        "_reader",
        "_send_paused",
        "_transport",
        "came",
        "sent",
    )

    _HIGH_MARK: ClassVar[int] = HIGH_MARK
    _LOW_MARK: ClassVar[int] = LOW_MARK
    _transport: asyncio.Transport

    def __init__(self, *, accepted: Callable[["TcpStream"], None] | None = None) -> None:
        self._accepted = accepted
        self._reader: StreamReader | None = None
        self._early: list[bytes] = []
        self._paused = False
        self._send_paused = False
        self._bytes_ended = False
        self._ended = False
        self._aborted = False
        self._gone = False
        self._carries_much = False
        self.sent = 0
        self.came = 0

    @property
    def peer(self) -> tuple[str, int]:
        """Address and port of the other end; "" and 0 when it is gone already."""
        found = None if self._has_no_socket else self._transport.get_extra_info("peername")
        return (found[0], found[1]) if found else ("", 0)

    @property
    def own(self) -> tuple[str, int]:
        """Address and port of this end; "" and 0 when it is gone already."""
        found = None if self._has_no_socket else self._transport.get_extra_info("sockname")
        return (found[0], found[1]) if found else ("", 0)

    @property
    def _has_no_socket(self) -> bool:
        # One that closes may have lost it; `connection_lost` comes only in a later turn of the loop.
        return self._gone or self._transport.is_closing()

    def adopt(self, transport: asyncio.Transport) -> None:
        """Takes charge of an open connection that is paused; its bytes from now on are the stream's."""
        transport.set_protocol(self)
        # A connection that broke a moment ago told so to its old protocol only.
        self._gone = transport.is_closing()
        self._attach(transport)

    def duplicate(self) -> socket.socket | None:
        """The same connection under another descriptor, for who will take it over; None when this cannot be,
        because it is closing, something waits to be sent, or there are no descriptors left."""
        if self._gone or self._aborted or self.unsent or self._transport.is_closing():
            return None
        sock: socket.socket = self._transport.get_extra_info("socket")
        try:
            descriptor = os.dup(sock.fileno())
        except OSError:
            return None
        duplicate = socket.socket(sock.family, sock.type, sock.proto, fileno=descriptor)
        for level, option, value in _KEEP_ALIVE:  # `dial` sets it late, on what still lives then
            duplicate.setsockopt(level, option, value)
        return duplicate

    def leave(self) -> bytes:
        """Lets go of a connection that lives on in its duplicate: neither FIN nor RST is sent. Gives back
        what was read and not handed over."""
        self._gone = True
        early, self._early = self._early, []
        self._transport.set_protocol(asyncio.Protocol())
        self._transport.abort()
        return b"".join(early)

    # Stream

    @property
    def unsent(self) -> int:
        return 0 if self._gone else self._transport.get_write_buffer_size()

    @property
    def holds(self) -> int:
        return self._HIGH_MARK + LARGEST_READ

    def set_option(self, level: int, *, option: int, value: int) -> None:
        """Sets an option of the connection's socket, unless it is gone."""
        if not self._has_no_socket:
            sock: socket.socket = self._transport.get_extra_info("socket")
            sock.setsockopt(level, option, value)

    def tcp_info(self) -> bytes:
        """What the kernel knows of the connection, as Linux's `struct tcp_info`; b"" when it is gone."""
        if self._has_no_socket:
            return b""
        sock: socket.socket = self._transport.get_extra_info("socket")
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE)

    def start(self, reader: StreamReader) -> None:
        self._reader = reader
        early, self._early = self._early, []
        for data in early:
            self.came += len(data)
            reader.bytes_came(data)
        if self._bytes_ended:
            reader.bytes_ended()
        if self._gone:
            reader.stream_gone(cleanly=False)
            return
        if self._send_paused:
            reader.send_paused()
        self._read_on()

    def write(self, data: bytes) -> None:
        if not (self._ended or self._aborted or self._gone):
            self.sent += len(data)
            if self.sent > MUCH and not self._carries_much:
                self._carry_much()
            self._transport.write(data)

    def end(self) -> None:
        if self._ended or self._aborted or self._gone:
            return
        self._ended = True
        if self._bytes_ended:
            self._transport.close()
        else:
            self._transport.write_eof()

    def close(self) -> None:
        """Closes a connection on which nothing was said; whoever accepted it sees an end, and no reset."""
        if not (self._aborted or self._gone):
            self._ended = True
            self._transport.close()

    def abort(self) -> None:
        if not self._gone:
            self._aborted = True
            reset(self._transport)

    def pause(self) -> None:
        self._paused = True
        if not self._gone:
            self._transport.pause_reading()
            if not self.came:
                # uvloop begins to read after `connection_made`, whatever was said in it.
                asyncio.get_running_loop().call_soon(self._pause_again)

    def _pause_again(self) -> None:
        if self._paused and not self._gone:
            self._transport.pause_reading()

    def resume(self) -> None:
        self._paused = False
        self._read_on()

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by duty, not by descent.
        self._attach(cast(asyncio.Transport, transport))
        if self._accepted is not None:
            self._accepted(self)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return _buffer

    def buffer_updated(self, size: int) -> None:
        self._hand_over(bytes(_buffer[:size]))

    def eof_received(self) -> bool:
        self._peer_ended()
        return True

    def pause_writing(self) -> None:
        self._send_paused = True
        if self._reader is not None:
            self._reader.send_paused()

    def resume_writing(self) -> None:
        self._send_paused = False
        if self._reader is not None:
            self._reader.send_resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        reader, self._reader = self._reader, None
        if reader is not None:
            clean = self._ended and self._bytes_ended and not self._aborted and exc is None
            reader.stream_gone(cleanly=clean)

    # For this class and those that wrap the bytes

    def _attach(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        if not self._gone:
            transport.set_write_buffer_limits(high=self._HIGH_MARK, low=self._LOW_MARK)
            transport.pause_reading()

    def _carry_much(self) -> None:
        self._carries_much = True
        self.set_option(socket.IPPROTO_TCP, option=TCP_NOTSENT_LOWAT, value=_MOST_NOT_SENT)

    def _hand_over(self, data: bytes) -> None:
        if self._reader is not None:
            self.came += len(data)
            self._reader.bytes_came(data)
        else:
            # uvloop reads once even if `connection_made` paused it.
            self._early.append(data)
            self._transport.pause_reading()

    def _peer_ended(self) -> None:
        if self._bytes_ended:
            return
        self._bytes_ended = True
        if self._reader is not None:
            self._reader.bytes_ended()
        if self._ended:
            self._transport.close()

    def _read_on(self) -> None:
        # After the end of the bytes reading again would only bring the same end again.
        if self._reader is not None and not (self._paused or self._gone or self._bytes_ended):
            self._transport.resume_reading()
