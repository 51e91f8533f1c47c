"""All tunnels of this process, whoever dialled them, and which of them a stream takes.

1. A stream goes by any open tunnel to its cluster, whoever dialled it: so a cluster that cannot be dialled
   is reached by the tunnels that it dialled itself.
2. Where the way is short few tunnels carry everything, because frames that leave together cost less. Where
   it is long, or nobody knows yet, streams are spread over all of them: a lost segment then holds up only
   some (ruling 20), and each connection brings a congestion window of its own.
   A tunnel that carries bulk, or over a long way makes its pings wait, is left alone as long as there is
   another.
3. A tunnel is open when both ends have said who they are (`tunnel_hello`).
4. A peer has so many tunnels to us at most; a further one is closed.
5. No tunnel takes streams for ever (`tunnel_life`), and one that takes no more of them is closed after
   `tunnel_drain`, whatever still goes on in it.
6. When we believe in a root no more, all tunnels are replaced within a minute, because any of them may be
   that of a member who is believed for its sake. One whose other end is refused by name ends at once.
7. The tunnels to a peer are pinged in turn, so that an idle one is heard several times a second at no cost;
   while nothing is heard in any of them, all are pinged at each look.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from mesh_core.identity import ClusterId
from mesh_core.trust import Trust
from mesh_core.trust import refusal as refused_by
from mesh_gateway.limits import Limits
from mesh_gateway.measured import Measured, measured_in
from mesh_gateway.metrics import GatewayMetrics
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opening import Opening
from mesh_gateway.probe import RunningTime
from mesh_gateway.route import Address
from mesh_gateway.session import SessionLimits
from mesh_gateway.tls_stream import TlsStream
from mesh_gateway.tunnel import Tunnel
from mesh_gateway.tunnel_hello import HelloTalk
from mesh_gateway.tunnel_life import NOTHING_SHOWN, Shown, life_of
from mesh_gateway.tunnel_log import TunnelLog
from mesh_gateway.window_budget import WindowBudget
from mesh_runtime.tls import Believed

_TURN = 0.25
"""Seconds between two looks at the clock."""
_SHORT_WAY = 0.002
"""Seconds of round trip up to which a lost segment holds up streams for next to no time."""
_ENOUGH = 256
"""Streams that one tunnel of a short way carries before the next one is used."""
_IN_TURN = 4
"""So many tunnels to a peer are pinged at different times."""
_MOST_REFUSED = 4
"""Tunnels of a cluster that is to hear why it gets none, at a time."""
_REPLACED = 60.0
"""Seconds in which tunnels are replaced that must not stay; whoever has not done it loses them."""


class Witness(Protocol):
    """Who wants to know of the ways to peers."""

    def tunnel(self, cluster: str, *, up: bool) -> None:
        """The first tunnel to the cluster stands, or the last one has ended."""

    def last_heard(self, cluster: str, *, at: float, now: float, rtt: float) -> None:
        """Something was heard at `at` in an open tunnel to the cluster, and nothing since; both are our own
        running time. Said at each look while there is one. `rtt` is the round trip, 0 while it is unknown."""

    def problem(self, cluster: str, text: str) -> None:
        """Why there is no tunnel; "" ends that."""

    def measured(self, cluster: str, found: Measured) -> None:
        """What was found in the open tunnels to the cluster."""


class TunnelPool:
    """`asked` gets every stream that a peer opens, with what it asks for; `talk` makes our hello.

    Round trips are measured with `fine_clock`.
    """

    def __init__(
        self,
        *,
        talk: HelloTalk,
        asked: Callable[[Tunnel, MuxStream, Opening], None],
        limits: Limits,
        metrics: GatewayMetrics,
        witness: Witness,
        fine_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._talk = talk
        self._fine_clock = fine_clock
        self._asked = asked
        self._limits = limits
        self._metrics = metrics
        self._witness = witness
        self._tunnels: dict[ClusterId, list[Tunnel]] = {}
        self._favourites: dict[ClusterId, Tunnel] = {}
        self._budget = WindowBudget(limits.window_growth)
        self._kept = WindowBudget(limits.early_total)
        self._early = WindowBudget(limits.early_from_peers)
        self._earlies: dict[ClusterId, WindowBudget] = {}
        self._budgets: dict[ClusterId, WindowBudget] = {}
        self._leaving = False
        self._log = TunnelLog()
        self._changed: dict[ClusterId, asyncio.Event] = {}
        self._turns = itertools.count()

    def best(self, cluster: ClusterId, *, without: Collection[Tunnel] = ()) -> Tunnel | None:
        """The tunnel for the next stream to `cluster`, none of `without`; None when no other is open."""
        found = self._favourites.get(cluster)
        if found is not None and not without and _suits(found):
            return found
        found, least = None, 0.0
        for tunnel in self._tunnels.get(cluster, ()):
            if tunnel.is_open and tunnel not in without:
                load = _load(tunnel)
                if found is None or load < least:
                    found, least = tunnel, load
        if found is not None:
            self._favourites[cluster] = found
        return found

    def of(self, cluster: ClusterId) -> tuple[Tunnel, ...]:
        """All tunnels to `cluster`, open or not."""
        return tuple(self._tunnels.get(cluster, ()))

    def all(self) -> Iterable[Tunnel]:
        """All tunnels."""
        return (tunnel for tunnels in tuple(self._tunnels.values()) for tunnel in tuple(tunnels))

    def adopt(
        self,
        stream: TlsStream,
        *,
        cluster: ClusterId,
        believed: Believed | None = None,
        shown: Shown = NOTHING_SHOWN,
        refusal: str = "",
    ) -> Tunnel | None:
        """A tunnel that `cluster` dialled, by its certificate. None, and closed, if it has enough.

        `believed` is asked again when the rules change; `shown` is the other end's certificate. With
        `refusal` it hears just this.
        """
        theirs = [tunnel for tunnel in self._tunnels.get(cluster, ()) if not tunnel.is_client]
        taken = sum(tunnel.left_at is None for tunnel in theirs)
        most = _MOST_REFUSED if refusal else self._limits.tunnels_from_peer
        if self._leaving or taken >= most or len(theirs) >= 2 * most:
            stream.abort()
            return None
        tunnel = self._made(stream, cluster=cluster, is_client=False, shown=shown)
        tunnel.refusal, tunnel.believed = refusal, believed
        tunnel.start()
        return tunnel

    def dialled(
        self,
        stream: TlsStream,
        *,
        cluster: ClusterId,
        believed: Believed | None = None,
        way: Address | None = None,
        shown: Shown = NOTHING_SHOWN,
    ) -> Tunnel:
        """A tunnel that we dialled, at `way`; it opens when both have said hello. `shown` is the other end's
        certificate."""
        tunnel = self._made(stream, cluster=cluster, is_client=True, shown=shown)
        tunnel.way, tunnel.believed = way, believed
        tunnel.start()
        self._talk.begin(tunnel, done=self._opened)
        return tunnel

    def changed(self, cluster: ClusterId) -> asyncio.Event:
        """Set whenever a tunnel to `cluster` has opened or ended."""
        return self._changed.setdefault(cluster, asyncio.Event())

    def renew(self) -> None:
        """Lets all tunnels be replaced, by whoever dialled them, and leaves those that are not."""
        now = asyncio.get_running_loop().time()
        for tunnel in self.all():
            tunnel.leave_by = min(tunnel.leave_by, now + _REPLACED)
            if tunnel.is_client:
                tunnel.renew_by = min(tunnel.renew_by, now)
        for changed in self._changed.values():
            changed.set()

    def expel(self, cluster: ClusterId) -> None:
        """Closes all tunnels with a cluster that we are not linked with any more, now."""
        for tunnel in self.of(cluster):
            tunnel.abort(f"there is no MeshPeer {cluster} any more")

    def judge(self, trust: Trust) -> None:
        """Closes all tunnels whose other end is believed no more by the rules of now."""
        for tunnel in self.all():
            believed = tunnel.believed
            if believed is None:
                continue
            why = refused_by(believed.identity, chain=believed.chain, trust=trust)
            if why:
                self._witness.problem(tunnel.cluster, why)
                tunnel.abort(why)

    def leave(self) -> None:
        """Takes no more streams, tells all peers, and closes each tunnel when its last stream has ended."""
        self._leaving = True
        for tunnel in self.all():
            tunnel.leave()

    def abort(self) -> None:
        """Closes all tunnels now."""
        for tunnel in self.all():
            tunnel.abort("this gateway ends")

    async def run(self) -> None:
        """Keep watch over all tunnels, for ever."""
        clock = asyncio.get_running_loop().time
        running = RunningTime(clock())
        told = clock()
        while True:
            await asyncio.sleep(_TURN)
            now = clock()
            running.turn(now)
            ran = running.at(now)
            for tunnel in self.all():
                ask = self._is_due(tunnel, now=now)
                tunnel.tick(now=now, ran=ran, ask=ask)
                tunnel.reset_unasked(before=now - self._limits.hello)
                self._look_after(tunnel, now=now)
                if ask and tunnel.rtt is not None:
                    self._metrics.rtt(tunnel.cluster, seconds=tunnel.last_rtt)
            self._listen(now=now, ran=ran)
            if now - told >= self._limits.ping_every:
                told = now
                self._tell_measured()

    # TunnelHost

    def stream_asked(self, tunnel: Tunnel, stream: MuxStream, message: bytes | None) -> None:
        opening = self._talk.opening(tunnel, stream, message, done=self._opened)
        if opening is not None:
            self._asked(tunnel, stream, opening)

    def tunnel_gone(self, tunnel: Tunnel, why: str) -> None:
        tunnels = self._tunnels.get(tunnel.cluster, [])
        if tunnel in tunnels:
            tunnels.remove(tunnel)
        if self._favourites.get(tunnel.cluster) is tunnel:
            del self._favourites[tunnel.cluster]
        if tunnel.hello is not None:
            self._metrics.tunnel_down(tunnel.cluster)
            self._log.ended(tunnel.cluster, why=why, dialled=tunnel.is_client)
        self._tell(tunnel.cluster)

    def tunnel_leaving(self, tunnel: Tunnel) -> None:
        self._tell(tunnel.cluster)

    # Rest

    def _is_due(self, tunnel: Tunnel, *, now: float) -> bool:
        """Whether it is time for its ping; the next one keeps its turn."""
        if now < tunnel.ask_at:
            return False
        tunnel.ask_at = max(tunnel.ask_at, now - _TURN) + self._limits.ping_every
        return True

    def _listen(self, *, now: float, ran: float) -> None:
        """Tells when each peer was heard last, and asks again where that is long ago."""
        for cluster, tunnels in tuple(self._tunnels.items()):
            opened = [tunnel for tunnel in tunnels if tunnel.is_open]
            if not opened:
                continue
            at = max(tunnel.alive_at for tunnel in opened)
            if ran - at >= self._limits.ping_every / 2:
                for tunnel in opened:
                    tunnel.ping_again(now=now)
            rtts = [tunnel.rtt for tunnel in opened if tunnel.rtt is not None]
            self._witness.last_heard(cluster, at=at, now=ran, rtt=min(rtts, default=0.0))

    def _look_after(self, tunnel: Tunnel, *, now: float) -> None:
        if tunnel.hello is None and now - tunnel.since > self._limits.handshake:
            tunnel.abort("it did not say who it is")
        elif tunnel.left_at is None:
            if now >= tunnel.leave_by:
                tunnel.leave()
                self._tell(tunnel.cluster)
            elif tunnel.session.is_exhausted:
                tunnel.leave_by = min(tunnel.leave_by, now + _REPLACED)
        elif now - tunnel.left_at > self._limits.tunnel_drain:
            tunnel.abort(f"it was left {self._limits.tunnel_drain:g} s ago")

    def _made(self, stream: TlsStream, *, cluster: ClusterId, is_client: bool, shown: Shown) -> Tunnel:
        budget = self._budgets.get(cluster)
        if budget is None:
            budget = WindowBudget(self._limits.window_growth_per_peer, whole=self._budget)
            self._budgets[cluster] = budget
        tunnel = Tunnel(
            stream,
            cluster=cluster,
            is_client=is_client,
            limits=_session_limits(self._limits),
            budget=budget,
            kept=self._kept,
            early=self._early_of(cluster),
            dead_after=self._limits.dead_after,
            host=self,
            fine_clock=self._fine_clock,
        )
        tunnel.cert_not_after = shown.ends
        share = next(self._turns) % _IN_TURN / _IN_TURN
        tunnel.ask_at = tunnel.since + self._limits.ping_every * (1 - share)
        life = life_of(now=tunnel.since, longest=self._limits.tunnel_life, good_for=shown.good_for)
        tunnel.leave_by = life.leave_by
        if is_client:
            tunnel.renew_by = life.renew_by
        self._tunnels.setdefault(cluster, []).append(tunnel)
        return tunnel

    def _early_of(self, cluster: ClusterId) -> WindowBudget:
        early = self._earlies.get(cluster)
        if early is None:
            early = WindowBudget(self._limits.early_from_peer, whole=self._early)
            self._earlies[cluster] = early
        return early

    def _opened(self, tunnel: Tunnel, problem: str) -> None:
        """The two ends have talked; `problem` says why they cannot work together, "" that they can."""
        if not tunnel.refusal:
            self._witness.problem(tunnel.cluster, problem)
        if problem:
            self._log.refused(tunnel.cluster, why=problem)
            tunnel.part(problem)
            self._tell(tunnel.cluster)
            return
        hello = tunnel.hello
        assert hello is not None, "a tunnel that opens has heard the other end"
        self._log.opened(tunnel.cluster, replica=hello.replica, dialled=tunnel.is_client)
        self._metrics.tunnel_up(tunnel.cluster)
        if self._leaving:
            tunnel.leave()
        # Only now the stream that is open in it is known to carry nothing.
        tunnel.close_if_left()
        self._tell(tunnel.cluster)

    def _tell_measured(self) -> None:
        for cluster, tunnels in self._tunnels.items():
            found = measured_in(tunnels, limits=self._limits)
            if found is not None:
                self._witness.measured(cluster, found)

    def _tell(self, cluster: ClusterId) -> None:
        self._witness.tunnel(cluster, up=any(tunnel.is_open for tunnel in self.of(cluster)))
        event = self._changed.get(cluster)
        if event is not None:
            event.set()


def _suits(tunnel: Tunnel) -> bool:
    """Whether no other tunnel would be better for one more stream: on a short way one is filled first."""
    session = tunnel.session
    return (
        tunnel.is_open
        and not (tunnel.is_busy or session.blocked)
        and session.rtt < _SHORT_WAY
        and len(session.streams) < _ENOUGH
    )


def _load(tunnel: Tunnel) -> float:
    """The smaller, the better for one more stream."""
    streams = float(tunnel.streams)
    rtt = tunnel.session.rtt
    is_busy = tunnel.is_busy
    if rtt < _SHORT_WAY:
        streams = streams // _ENOUGH
    else:
        # Where segments are lost little is much: what its pings wait behind, a stream would wait behind too.
        is_busy |= tunnel.lag > rtt
    # What cannot be sent into now may belong to a peer that does not read at all.
    return streams + (1e6 if is_busy else 0.0) + (1e7 if tunnel.session.blocked else 0.0)


def _session_limits(limits: Limits) -> SessionLimits:
    return SessionLimits(
        streams=limits.streams_per_tunnel,
        buffer=limits.tunnel_buffer,
        window=limits.largest_window,
        early_data=limits.early_data,
    )
