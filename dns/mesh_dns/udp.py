"""Questions over UDP.

1. Nothing is queued: a reply that the kernel does not take at once is dropped, and the asker asks again.
2. One turn of the event loop answers at most a batch, so a flood of datagrams leaves time for the rest.
3. Whatever one datagram does, the next one is served.

What to answer is `mesh_dns.answer`'s.
"""

import socket

from mesh_dns.answer import Transport, respond
from mesh_dns.counts import Counts, Drop
from mesh_dns.question import LONGEST_QUERY
from mesh_dns.table import Table

_BATCH = 64


class UdpEndpoint:
    """Answers on one bound, non-blocking socket; the event loop calls `on_readable`."""

    def __init__(self, sock: socket.socket, *, table: Table, counts: Counts) -> None:
        self._socket = sock
        self._table = table
        self._counts = counts

    def on_readable(self) -> None:
        """Answer what lies in the socket, at most one batch."""
        for _ in range(_BATCH):
            try:
                # One byte more than is allowed, so that a cut-off datagram is seen to be too long.
                packet, asker = self._socket.recvfrom(LONGEST_QUERY + 1)
            except BlockingIOError:
                return
            reply = respond(packet, table=self._table, transport=Transport.UDP)
            if reply is None:
                self._counts.dropped(Drop.NO_QUERY)
                continue
            try:
                self._socket.sendto(reply, asker)
            except OSError:
                # Full buffer, a filter's veto, or a source (port 0, say) that cannot be answered.
                self._counts.dropped(Drop.UNSENT)
            else:
                self._counts.sent(reply, over_tcp=False)
