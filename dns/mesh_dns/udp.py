"""Questions over UDP.

1. Nothing is queued: a reply that the kernel does not take at once is dropped, and the asker asks again.
2. One turn of the event loop answers at most a batch, so a flood of datagrams leaves time for the rest.
3. Whatever one datagram does, the next one is served.
4. Ready replies are for askers of this cluster; with others it matters who they are.

What to answer is `mesh_dns.answer`'s, and what lies ready is `mesh_dns.hot`'s.
"""

import socket
from collections.abc import Callable
from typing import Any, Final

from mesh_dns.answer import Transport, respond
from mesh_dns.counts import Counts, Drop
from mesh_dns.guard import Guard, anybody, drop_of
from mesh_dns.hot import Memo
from mesh_dns.question import LONGEST_QUERY
from mesh_dns.table import Table

# Any: an address has two parts or four, and the socket knows.
_Asker = tuple[Any, ...]
_BATCH: Final = 64
# One byte more than is allowed, so that a cut-off datagram is seen to be too long.
_ROOM: Final = LONGEST_QUERY + 1


class UdpEndpoint:
    """Answers on one bound, non-blocking socket; the event loop calls `on_readable`.

    `guard` knows who asks, None: that makes no difference; `now` is the event loop's clock.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        table: Table,
        counts: Counts,
        guard: Guard | None,
        now: Callable[[], float],
    ) -> None:
        self._receive = sock.recvfrom
        self._send = sock.sendto
        self._table = table
        self._counts = counts
        self._guard = guard
        self._is_local = guard.sources.is_local if guard is not None else anybody
        self._now = now
        self._memo = Memo(table, transport=Transport.UDP)

    def on_readable(self) -> None:
        """Answer what lies in the socket, at most one batch."""
        for _ in range(_BATCH):
            try:
                packet, asker = self._receive(_ROOM)
            except BlockingIOError:
                return
            is_local = self._is_local(asker[0])
            ready = self._memo.find(packet) if is_local else None
            if ready is None:
                self._answer(packet, asker, is_local=is_local)
                continue
            try:
                self._send(ready.reply(packet), asker)
            except OSError:
                self._counts.dropped(Drop.UNSENT)
            else:
                self._counts.sent_from_memo(ready.place)

    def _answer(self, packet: bytes, asker: _Asker, *, is_local: bool) -> None:
        known = None
        if self._guard is not None:
            known = self._guard.asker(asker[0], now=self._now(), is_local=is_local)
        reply = respond(packet, table=self._table, transport=Transport.UDP, asker=known)
        if reply is None:
            self._counts.dropped(drop_of(known))
            return
        try:
            self._send(reply, asker)
        except OSError:
            # Full buffer, a filter's veto, or a source (port 0, say) that cannot be answered.
            self._counts.dropped(Drop.UNSENT)
        else:
            self._counts.sent(reply, over_tcp=False)
            if known is not None and known.is_cut:
                self._counts.limited += 1
        if is_local:
            self._memo.keep(packet, reply)
