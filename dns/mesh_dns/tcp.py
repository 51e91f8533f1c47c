"""Questions over TCP (RFC 7766): several on one connection, each preceded by its length.

1. A connection holds at most `LONGEST_QUERY` bytes of queries, and answers of `_WRITE_BUFFER` bytes and one
   more: whoever does not read his answers is not answered further, and not read from either.
2. A connection ends when `IDLE_LIMIT` seconds pass without a whole query, however many bytes trickle in.
3. At most `MOST_CONNECTIONS` of this cluster's askers are open, and `MOST_OUTSIDE` of others. A new one takes
   the place of the one of its kind that was quiet longest: idle connections cannot keep anybody out, and
   strangers cannot push out our own.
4. What is no query ends the connection, once the queries before it are answered.
5. Whoever is gone before we look has no address, so nothing that he sent is read: it matters who asks.

What to answer is `mesh_dns.answer`'s, and what lies ready is `mesh_dns.hot`'s.
"""

import asyncio
from typing import cast

from mesh_dns.answer import Transport, respond
from mesh_dns.counts import Counts, Drop
from mesh_dns.guard import Guard, anybody, drop_of
from mesh_dns.hot import Memo
from mesh_dns.question import LONGEST_QUERY
from mesh_dns.table import Table

IDLE_LIMIT = 10.0
MOST_CONNECTIONS = 512
"""One a node is usual where NodeLocal DNSCache asks us directly; a container may have no more than 1024
descriptors, and accepting must never be what runs into that."""

MOST_OUTSIDE = 128

_WRITE_BUFFER = 16 * 1024
_LENGTH_BYTES = 2


class Connections:
    """All open connections, the one that was quiet longest first.

    `guard` knows who asks, None: that makes no difference.
    """

    def __init__(self, *, table: Table, counts: Counts, guard: Guard | None) -> None:
        self._table = table
        self.counts = counts
        self._guard = guard
        self._is_local = guard.sources.is_local if guard is not None else anybody
        self._memo = Memo(table, transport=Transport.TCP)
        self._local: dict[TcpConnection, None] = {}
        self._outside: dict[TcpConnection, None] = {}

    def __len__(self) -> int:
        return len(self._local) + len(self._outside)

    def protocol(self) -> "TcpConnection":
        """The protocol of a new connection, for the event loop's `create_server`."""
        return TcpConnection(self)

    def reply(self, packet: bytes, *, asker: str) -> bytes | None:
        """The reply to one message from that address, counted; None for silence."""
        is_local = self._is_local(asker)
        ready = self._memo.find(packet) if is_local else None
        if ready is not None:
            self.counts.sent_from_memo(ready.place)
            return ready.reply(packet)
        known = None
        if self._guard is not None:
            now = asyncio.get_running_loop().time()
            known = self._guard.asker(asker, now=now, is_local=is_local)
        reply = respond(packet, table=self._table, transport=Transport.TCP, asker=known)
        if reply is None:
            self.counts.dropped(drop_of(known))
        else:
            self.counts.sent(reply, over_tcp=True)
            if is_local:
                self._memo.keep(packet, reply)
        return reply

    def touch(self, connection: "TcpConnection") -> None:
        """Note that `connection` did something; make room for it when it is new."""
        is_new = not self._take_out(connection)
        places, most = self._local, MOST_CONNECTIONS
        if not self._is_local(connection.asker):
            places, most = self._outside, MOST_OUTSIDE
        if is_new and len(places) >= most:
            next(iter(places)).abort()
            self.counts.crowded_out += 1
        places[connection] = None

    def forget(self, connection: "TcpConnection") -> None:
        """Note that `connection` is closed."""
        self._take_out(connection)

    def abort(self) -> None:
        """Close all connections at once."""
        for connection in [*self._local, *self._outside]:
            connection.abort()

    def _take_out(self, connection: "TcpConnection") -> bool:
        # Who is local may have changed since it came.
        found = [places for places in (self._local, self._outside) if connection in places]
        for places in found:
            del places[connection]
        return bool(found)


class TcpConnection(asyncio.BufferedProtocol):
    """One connection; made by `Connections`. `asker` is the address at its other end, without the port."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.asker = ""
        self._buffer = bytearray(_LENGTH_BYTES + LONGEST_QUERY)
        self._filled = 0
        self._paused = False
        self._transport: asyncio.Transport | None = None
        self._quiet_since = 0.0
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Cast and not checked: uvloop's transports have the methods of asyncio.Transport, not its class.
        transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        if not peer:
            transport.abort()
            return
        self._transport = transport
        self.asker = peer[0]
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        self._touch()

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        self._answer()

    def eof_received(self) -> None:
        """The asker has no more questions; the transport flushes the answers and closes."""

    def pause_writing(self) -> None:
        assert self._transport is not None
        self._paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        assert self._transport is not None
        self._paused = False
        self._answer()
        if not self._paused:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._transport = None
        self._connections.forget(self)

    def abort(self) -> None:
        """Close at once, whatever is not written yet."""
        self._connections.forget(self)
        if self._transport is not None:
            self._transport.abort()

    def _touch(self) -> None:
        loop = asyncio.get_running_loop()
        self._connections.touch(self)
        self._quiet_since = loop.time()
        # One timer that looks when it is due: a new one for each question would cost more than the answer.
        if self._idle is None:
            self._idle = loop.call_later(IDLE_LIMIT, self._end_if_idle)

    def _end_if_idle(self) -> None:
        loop = asyncio.get_running_loop()
        left = self._quiet_since + IDLE_LIMIT - loop.time()
        if left > 0:
            self._idle = loop.call_later(left, self._end_if_idle)
        else:
            self.abort()

    def _answer(self) -> None:
        """Answer the whole queries in the buffer, as long as the asker takes the answers."""
        while not self._paused and self._transport is not None and not self._transport.is_closing():
            replies, sound = self._take_queries()
            if replies:
                self._touch()
                self._transport.write(b"".join(replies))
            if not sound:
                # Flushes first; who does not read is still cut off by the idle limit.
                self._transport.close()
            if not replies:
                return

    def _take_queries(self) -> tuple[list[bytes], bool]:
        """Framed replies to the next queries in the buffer, and whether what followed may be a query.

        It stops after `_WRITE_BUFFER` bytes of replies, as a query of 50 bytes may have a reply of 50,000.
        """
        replies: list[bytes] = []
        at = written = 0
        sound = True
        while self._filled - at >= _LENGTH_BYTES and written < _WRITE_BUFFER:
            length = int.from_bytes(self._buffer[at : at + _LENGTH_BYTES], "big")
            end = at + _LENGTH_BYTES + length
            if length <= LONGEST_QUERY and end > self._filled:
                break
            reply = None
            if length <= LONGEST_QUERY:
                packet = bytes(self._buffer[at + _LENGTH_BYTES : end])
                reply = self._connections.reply(packet, asker=self.asker)
            else:
                self._connections.counts.dropped(Drop.NO_QUERY)
            if reply is None:
                sound = False
                break
            replies.append(len(reply).to_bytes(_LENGTH_BYTES, "big") + reply)
            written += _LENGTH_BYTES + len(reply)
            at = end
        self._buffer[: self._filled - at] = self._buffer[at : self._filled]
        self._filled -= at
        return replies, sound
