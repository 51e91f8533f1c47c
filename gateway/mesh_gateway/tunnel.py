"""One live tunnel: a TLS connection between two gateways, and the session that runs on it.

1. All frames of one turn of the loop leave in one TLS write. The first of them does not leave before the
   others: that doubled what 32 requests at a time cost, and gained a lone one nothing.
2. Alive is who was heard: any byte is life. Dead is who was not heard for `dead_after` seconds of our own
   running time while a ping was out (ruling 19). The lag of our own loop is nobody's silence.
3. The first pings leave at once: windows and the choice of a tunnel depend on how long the way is (`pings`).
   Who answers no ping for a minute is dead too, whatever he says meanwhile: he may not be reading.
   Bytes of ours that are acknowledged while many more wait are life as well, for a while: a ping behind them
   has not even arrived (`acknowledged`).
4. After a go-away of either side no stream is opened in it; it closes when the last one has ended.
5. A stream of the other end that does not say within `hello` seconds what it wants is reset.
"""

import asyncio
import math
import socket
from collections.abc import Callable
from typing import Protocol

from mesh_core.identity import ClusterId
from mesh_gateway.acknowledged import Acknowledged
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opening import TunnelHello
from mesh_gateway.pings import Pings
from mesh_gateway.route import Address
from mesh_gateway.session import Session, SessionLimits
from mesh_gateway.tcp_stream import TCP_NOTSENT_LOWAT
from mesh_gateway.tls_stream import TlsStream
from mesh_gateway.window_budget import WindowBudget
from mesh_gateway.yamux import Farewell, ProtocolError
from mesh_runtime.tls import Believed

_NO_PONG = 60.0
"""Seconds of our own running time without an answer to any ping until a tunnel counts as dead."""
_AGAIN = 0.2
"""Seconds between two pings, at least, when nothing is heard."""
_ONLY_TAKEN = 10.0
"""For so long what is taken off our hands counts as life, without a byte from there."""
_CLOSING = 5.0
"""Seconds that the other end has to close after we have."""
_UNACKNOWLEDGED = 20_000
"""Milliseconds that the kernel waits for what it sent to be acknowledged (ruling 19); a full link of
10 Mbit/s takes a few seconds for what lies in the buffers on the way."""
_BUSY = 8 * 1024 * 1024
"""Bytes a second beyond which a tunnel carries bulk, and others should rather go by another."""
_MOST_NOT_SENT = 256 * 1024
"""Bytes that the kernel takes beyond what it has sent: more would only wait there, pings behind it."""


class TunnelHost(Protocol):
    """Who wants to know how a tunnel fares. No method may raise or wait."""

    def stream_asked(self, tunnel: "Tunnel", stream: MuxStream, message: bytes | None) -> None:
        """The other end asks for something; None: it did not say what."""

    def tunnel_gone(self, tunnel: "Tunnel", why: str) -> None:
        """Nothing is left of it; said once, last."""

    def tunnel_leaving(self, tunnel: "Tunnel") -> None:
        """The other end takes no more streams."""


class Tunnel:
    """A tunnel to `cluster` on a connection whose two ends know who they are. Made, then `start`ed.

    Round trips are measured with `fine_clock`; everything else goes by the loop's.
    """

    def __init__(
        self,
        stream: TlsStream,
        *,
        cluster: ClusterId,
        is_client: bool,
        limits: SessionLimits,
        budget: WindowBudget,
        kept: WindowBudget,
        early: WindowBudget,
        dead_after: float,
        host: TunnelHost,
        fine_clock: Callable[[], float],
    ) -> None:
        self.cluster = cluster
        self.is_client = is_client
        self.hello: TunnelHello | None = None
        """What the other end says of itself; None until it has."""
        self.session = Session(
            self, is_client=is_client, limits=limits, budget=budget, kept=kept, early=early
        )
        self.is_busy = False
        self.talk: MuxStream | None = None
        """The stream on which the ends say hello; it carries nothing for anybody."""
        self.since = asyncio.get_running_loop().time()
        self.way: Address | None = None
        """Where it was dialled, if it was."""
        self.renew_by = math.inf
        """When whoever dialled it should have replaced it, by the loop's clock."""
        self.leave_by = math.inf
        """When it takes no more streams, replaced or not."""
        self.left_at: float | None = None
        """Since when it takes no more streams."""
        self.cert_not_after = math.inf
        """When the certificate ends that the other end has shown, in seconds since 1970."""
        self.believed: Believed | None = None
        """By which keys the other end is believed, for as long as it is."""
        self.refusal = ""
        """Why the other end is told no when it says hello; "" when it may be heard."""
        self._stream = stream
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._dead_after = dead_after
        self._why = "the connection was closed"
        self._gone = False
        self._leaving = False
        self._parting = 0  # the ping that went behind our go-away
        self._may_close = False
        self.ask_at = 0.0
        """When its next ping is due, by the loop's clock."""
        self._heard = True
        self._heard_at: float | None = None
        self.alive_at = 0.0
        """When there was a sign of life last, by our running time, as of the last tick."""
        self._ran = 0.0
        self._taken = Acknowledged()
        self._unanswered_at: float | None = None
        self._ended_at: float | None = None
        self._pings, self._pinged_at = Pings(fine_clock), 0.0
        self._counted, self._counted_at = 0, 0.0

    def start(self) -> None:
        """Begins to read."""
        self.session.now = self._loop.time()
        self._stream.set_option(socket.IPPROTO_TCP, option=TCP_NOTSENT_LOWAT, value=_MOST_NOT_SENT)
        self._stream.set_option(socket.IPPROTO_TCP, option=socket.TCP_USER_TIMEOUT, value=_UNACKNOWLEDGED)
        self._stream.start(self)
        self._ping(self.session.now)

    @property
    def is_open(self) -> bool:
        """Whether streams may be opened in it."""
        return not (self._gone or self._leaving) and self.hello is not None

    @property
    def is_gone(self) -> bool:
        """Whether the connection is lost."""
        return self._gone

    @property
    def is_exhausted(self) -> bool:
        """Whether most stream numbers are used up."""
        return self.session.is_exhausted

    @property
    def streams(self) -> int:
        """Streams in it that carry something, of both ends."""
        return len(self.session.streams) - (self.talk is not None)

    @property
    def rtt(self) -> float | None:
        """Seconds of the quickest of the last pings; None before the first was answered."""
        return self._pings.rtt

    @property
    def address(self) -> str:
        """Where the other end is, as `host:port`."""
        return str(Address(*self._stream.peer))

    @property
    def last_rtt(self) -> float:
        """Seconds of the last ping that was answered."""
        return self._pings.last

    @property
    def lag(self) -> float:
        """Seconds by which the last ping took longer than the quickest: what waits on the way, either way."""
        return self._pings.last - self.session.rtt if self._pings.rtt is not None else 0.0

    @property
    def unsent(self) -> int:
        """Bytes that wait in this process for the connection."""
        return 0 if self._gone else self._stream.unsent

    def leave(self) -> None:
        """Takes no more streams, tells the other end, and closes when the last one has ended."""
        if not (self._gone or self._parting):
            self._note_left()
            self.session.leave()
            # Streams that the other end opens before it hears us come before its answer to this, and are
            # refused: whoever closed earlier would leave them without a word (ruling 9).
            self._parting = self._pings.new()
            self.session.ping_after(self._parting)

    def close_if_left(self) -> None:
        """Closes it if it was left and carries nothing; for who has found out that a stream is `talk`."""
        if self._leaving:
            self._close_if_empty()

    def part(self, why: str) -> None:
        """Closes the connection as soon as what was said has left: the last word is heard."""
        if not self._gone:
            self._note_left()
            self._why = why
            self.session.leave()
            self._end()

    def abort(self, why: str) -> None:
        """Closes the connection now; its streams are reset."""
        if not self._gone:
            self._note_left()
            self._why = why
            self._stream.abort()

    def tick(self, *, now: float, ran: float, ask: bool) -> None:
        """One turn of the clock: `now` of the loop, `ran` how long the loop has been running; `ask`: a ping
        is due."""
        if self._gone:
            return
        came, self.session.now = self.session.now, now
        turn, self._ran = max(0.0, ran - self._ran), ran
        if self._heard or self._heard_at is None:
            self._heard = False
            self._heard_at = self.alive_at = ran - min(max(0.0, now - came), turn)
            self._taken.forget()
        elif self._takes(ran):
            self.alive_at = ran
        elif self._pings.out and ran - self.alive_at > self._dead_after:
            self.abort(f"nothing was heard for {self._dead_after:g} s")
            return
        if self._unanswered_at is not None and ran - self._unanswered_at > _NO_PONG:
            self.abort(f"no ping was answered for {_NO_PONG:g} s")
            return
        if self._ended_at is not None and now - self._ended_at > _CLOSING:
            self.abort(self._why)
            return
        if ask:
            if self._unanswered_at is None:
                self._unanswered_at = ran
            self._note_rate(now)
            self._ping(now)

    def ping_again(self, *, now: float) -> None:
        """One more ping, out of turn, because nothing is heard."""
        has_waited = not self._pings.out or now - self._pinged_at >= _AGAIN
        if has_waited and not (self._gone or self._pings.is_full):
            self._ping(now)

    def reset_unasked(self, *, before: float) -> None:
        """Resets streams of the other end that came before then and have not said what they want."""
        for stream, since in tuple(self.session.asking.items()):
            if since >= before:
                break
            stream.abort()

    # SessionOwner

    def flush_soon(self) -> None:
        self._loop.call_soon(self.flush_now)

    def flush_now(self) -> None:
        session = self.session
        if not session.blocked and not self._gone and session.has_output:
            self._stream.write_all(session.take())

    def stream_asked(self, stream: MuxStream, message: bytes | None) -> None:
        self.session.asking.pop(stream, None)
        self._host.stream_asked(self, stream, message)

    def stream_ended(self) -> None:
        if self._leaving:
            self._close_if_empty()

    def pong(self, number: int) -> None:
        if number == self._parting:
            self._may_close = True
            self._close_if_empty()
        if self._pings.answered(number):
            self._unanswered_at = None
            self.session.rtt = self._pings.rtt or 0.0
            if self._pings.is_settling:
                self._ping(self._loop.time())

    def went_away(self, reason: int) -> None:
        if not self._leaving:
            self._note_left()
            if reason != Farewell.NORMAL:
                self._why = f"the other end went away for the reason {reason}"
            self._host.tunnel_leaving(self)
        # We open none, and it takes none: nothing can be on its way.
        self._may_close = True
        self._close_if_empty()

    def bound_broken(self, why: str) -> None:
        if not self._leaving:
            self._leaving = True
            # Not in the middle of what the session is doing.
            self._loop.call_soon(self._break_off, why)

    # StreamReader

    def bytes_came(self, data: bytes) -> None:
        self._heard = True
        self.session.now = self._loop.time()
        try:
            self.session.received(data)
        except ProtocolError as error:
            self._break_off(str(error))

    def bytes_ended(self) -> None:
        self.abort("the other end closed the tunnel")

    def send_paused(self) -> None:
        self.session.blocked = True

    def send_resumed(self) -> None:
        self.session.blocked = False
        self.flush_now()
        if not self.session.blocked:
            self.session.unblock()
            self.flush_now()

    def stream_gone(self, *, cleanly: bool) -> None:
        self._gone = True
        self.session.lose()
        self._host.tunnel_gone(self, self._why)

    # Rest

    def _break_off(self, why: str) -> None:
        if self._gone:
            return
        self._why = why
        self._leaving = True
        self.session.leave(Farewell.PROTOCOL_ERROR)
        self.flush_now()
        self._stream.abort()

    def _takes(self, ran: float) -> bool:
        """Whether the other end goes on taking much that we have sent."""
        since = self._heard_at if self._heard_at is not None else ran
        info = self._stream.tcp_info()
        return self._taken.goes_on(info) and ran - since < _ONLY_TAKEN

    def _ping(self, now: float) -> None:
        number = self._pings.new(but=self._parting)
        self._pings.sent(number)
        self._pinged_at = now
        self.session.ping(number)

    def _close_if_empty(self) -> None:
        if self.streams == 0 and self._may_close and not self._gone:
            self._loop.call_soon(self._finish)

    def _finish(self) -> None:
        if self.streams == 0 and not self._gone:
            self._end()

    def _end(self) -> None:
        self.flush_now()
        self._stream.end()
        if self._ended_at is None:
            self._ended_at = self._loop.time()

    def _note_left(self) -> None:
        self._leaving = True
        if self.left_at is None:
            self.left_at = self._loop.time()

    def _note_rate(self, now: float) -> None:
        total = self.session.bytes_in + self.session.bytes_out
        if self._counted_at:
            self.is_busy = (total - self._counted) > _BUSY * (now - self._counted_at)
        self._counted, self._counted_at = total, now
