"""Asks every peer's gateways, and the pods of neighbours, whether anybody is there (ruling 8).

1. While a peer answers, one address is asked, once a second: the one that answered last. When it does not,
   all of them are, and one that answers is enough (`asking`).
2. So many knocks go out at a time at most (`_AT_A_TIME`), and the turns of the peers are spread by chance.
3. A pod that refuses lives: a refusal comes from there. A gateway that refuses is no way in; it has answered
   when it has spoken to us as a gateway of that cluster (`greeting`).
4. Streams of the egress half are witnesses too: one that was opened is life, one for which no gateway
   answered is a failure.
5. A tunnel is the best of witnesses: while one is heard, nobody knocks at that peer's gateways. When it falls
   silent they are knocked at long before it is given up. Of a peer that we never dial tunnels are all there
   is, and a wave without a sign of life is a failure.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from mesh_core.objects import EndpointSlice, MeshPeer
from mesh_core.path_report import Finding, Pods, Tunnel
from mesh_gateway.asking import Asking, Manner
from mesh_gateway.errors import ClusterSilent
from mesh_gateway.opener import StreamOpener, Target
from mesh_gateway.probe import Path, RunningTime, Verdict, is_fair
from mesh_gateway.probe_knock import LIMIT, Answer, Knock
from mesh_gateway.probe_targets import gateways_of, in_turn, is_neighbour, pods_of
from mesh_gateway.route import Address
from mesh_gateway.stream import Stream

_EVERY = 1.0
_TURN = 0.25
"""Seconds between two looks at how long our own loop has been running."""
_AT_A_TIME = 512
_OLD = 0.8
"""Seconds for which a list of pods must do: it costs a walk over all slices."""
_LIFE = frozenset({Answer.OPEN, Answer.SHUT, Answer.REFUSED})
_GREETED = frozenset({Answer.OPEN})
_PODS = {Verdict.UP: Pods.REACHABLE, Verdict.DOWN: Pods.UNREACHABLE, Verdict.UNKNOWN: Pods.UNKNOWN}


class Surroundings(Protocol):
    """What the caches say."""

    @property
    def network(self) -> str:
        """The network that this cluster shares with others, "" for none."""

    def peers(self) -> Iterable[MeshPeer]:
        """All peers."""

    def slices(self) -> Iterable[EndpointSlice]:
        """Those that our controller manages."""


class Greet(Protocol):
    """Who knocks at gateways."""

    async def __call__(self, address: Address, *, cluster: str) -> Answer:
        """What asking for a gateway of that cluster there comes to; never raises OSError."""


@dataclass(slots=True)
class _Known:
    """What is known of the ways to one peer; of pods only where it has some that are asked. `heard_at` is
    when its tunnels were heard last, by the clock of whoever said so."""

    gateways: Asking
    pods: Asking
    has_pods: bool = False
    turn: int = 0
    heard_at: float | None = None


class Prober:
    """Of the gateway at the address `own`; `found` hears what each round comes to, changed or not. `greet`
    knocks at gateways, `knock` at pods."""

    def __init__(
        self,
        own: str,
        *,
        surroundings: Surroundings,
        greet: Greet,
        knock: Knock,
        found: Callable[[str, Finding], None],
    ) -> None:
        self._own = own
        self._surroundings = surroundings
        self._greet = greet
        self._knock = knock
        self._found = found
        self._known: dict[str, _Known] = {}
        self._tunnels: dict[str, Tunnel] = {}
        self._knocks = asyncio.Semaphore(_AT_A_TIME)
        self._running: RunningTime | None = None
        self._pods: Mapping[str, tuple[Address, ...]] = {}
        self._is_stale = True
        self._listed = 0.0

    def changed(self) -> None:
        """Says that peers or slices may have changed."""
        self._is_stale = True

    @property
    def ran(self) -> float:
        """For how long our own loop has been running, in seconds."""
        return self._running.at(asyncio.get_running_loop().time()) if self._running is not None else 0.0

    def opened(self, cluster: str) -> None:
        """A stream to a gateway of the cluster was opened."""
        known = self._known.get(cluster)
        if known is not None:
            known.gateways.heard(at=self.ran)

    def silent(self, cluster: str, *, began: float) -> None:
        """No gateway of the cluster answered a stream that was begun when we had run for `began` seconds."""
        known = self._known.get(cluster)
        if known is not None and is_fair(ran=self.ran - began, limit=LIMIT):
            known.gateways.failed(began=began)

    def last_heard(self, cluster: str, *, at: float, now: float, rtt: float) -> None:
        """When something was heard last in the tunnels to the cluster, both by the running time of whoever
        says it; `rtt` is the round trip there, 0 where nobody knows. Said all the time while a tunnel stands.
        """
        known = self._known.get(cluster)
        if known is None:
            return
        known.gateways.path = known.gateways.path.over(rtt)
        # Two clocks of running time are never quite one: what is no news there must not be any here.
        if known.heard_at is None or at > known.heard_at:
            known.heard_at = at
            known.gateways.heard(at=self.ran - (now - at))

    def tunnel(self, cluster: str, *, up: bool) -> None:
        """The first tunnel to the cluster stands, or its last one has ended; may be said again."""
        was_up = self._tunnels.get(cluster) is Tunnel.UP
        self._tunnels[cluster] = Tunnel.UP if up else Tunnel.DOWN
        known = self._known.get(cluster)
        if known is None or up is was_up:
            return  # one of several has ended, and others stand: that is no sign of life
        if up:
            known.gateways.heard(at=self.ran)
        else:
            known.gateways.hasten()
        self._tell(cluster)

    async def run(self) -> None:
        """Knock, for ever."""
        self._running = RunningTime(asyncio.get_running_loop().time())
        tasks: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_time(self._running))
            while True:
                names = {peer.metadata.name for peer in self._surroundings.peers()}
                for name in tasks.keys() - names:
                    tasks.pop(name).cancel()
                    self._known.pop(name, None)
                    self._tunnels.pop(name, None)
                for name in sorted(names - tasks.keys()):
                    tasks[name] = group.create_task(self._attend(name))
                await asyncio.sleep(_EVERY)

    async def _keep_time(self, running: RunningTime) -> None:
        while True:
            await asyncio.sleep(_TURN)
            running.turn(asyncio.get_running_loop().time())

    async def _attend(self, name: str) -> None:
        known = self._known[name] = _Known(self._asks_gateways(name), self._asks_pods(name))
        async with asyncio.TaskGroup() as group:
            group.create_task(known.gateways.run())
            group.create_task(known.pods.run())
            while True:
                self._tell(name)
                await asyncio.sleep(_EVERY)

    def _asking(self, name: str, manner: Manner) -> Asking:
        return Asking(Path(since=self.ran), manner=manner, ran=lambda: self.ran, slots=self._knocks)

    def _asks_gateways(self, name: str) -> Asking:
        def choose(unanswered: int) -> Sequence[Address] | None:
            peer = self._peer(name)
            if peer is None:
                return ()
            if peer.spec.dial == "inbound":
                return None
            gateways, good = gateways_of(peer), asking.good
            return (good,) if not unanswered and good is not None and good in gateways else gateways

        def rests() -> bool:
            return self._tunnels.get(name) is Tunnel.UP and self.ran < asking.path.suspect_at

        manner = Manner(
            choose=choose,
            knock=partial(self._greet, cluster=name),
            life=_GREETED,
            rests=rests,
            told=lambda: self._tell(name),
        )
        asking = self._asking(name, manner)
        return asking

    def _asks_pods(self, name: str) -> Asking:
        def choose(_unanswered: int) -> Sequence[Address]:
            known, peer = self._known.get(name), self._peer(name)
            pods = self._pods_of(peer) if peer is not None else ()
            if known is None or peer is None:
                return ()
            if pods and not known.has_pods:
                # What another gateway has heard of the pods, or we before a restart, shows that they may
                # answer.
                heard = any(one.pods != Pods.UNKNOWN.value for one in peer.status.gateways)
                asking.begin(Path(since=self.ran, shy=not heard))
            known.has_pods = bool(pods)
            known.turn += 1
            return in_turn(pods, turn=known.turn)

        manner = Manner(
            choose=choose,
            knock=self._knock,
            life=_LIFE,
            rests=lambda: False,
            told=lambda: self._tell(name),
        )
        asking = self._asking(name, manner)
        return asking

    def _tell(self, name: str) -> None:
        """Say how the peer stands, as soon as anything is known of its gateways."""
        known = self._known.get(name)
        verdict = known.gateways.path.verdict if known is not None else Verdict.UNKNOWN
        if known is not None and verdict is not Verdict.UNKNOWN:
            pods = _PODS[known.pods.path.verdict] if known.has_pods else Pods.UNKNOWN
            tunnel = self._tunnels.get(name, Tunnel.NONE)
            self._found(name, Finding(verdict is Verdict.UP, pods, tunnel))

    def _peer(self, name: str) -> MeshPeer | None:
        return next((peer for peer in self._surroundings.peers() if peer.metadata.name == name), None)

    def _pods_of(self, peer: MeshPeer) -> tuple[Address, ...]:
        if not is_neighbour(peer, network=self._surroundings.network):
            return ()
        if peer.metadata.name not in self._pods or (self._is_stale and self.ran - self._listed >= _OLD):
            self._is_stale, self._listed = False, self.ran
            network = self._surroundings.network
            near = [p.metadata.name for p in self._surroundings.peers() if is_neighbour(p, network=network)]
            self._pods = pods_of(near, slices=self._surroundings.slices(), own=self._own)
        return self._pods.get(peer.metadata.name, ())


class WitnessingOpener:
    """Opens streams by `opener`, and tells the prober what came of it."""

    def __init__(self, opener: StreamOpener, *, prober: Prober) -> None:
        self._opener = opener
        self._prober = prober

    async def open(self, target: Target) -> Stream:
        """As `StreamOpener`."""
        began = self._prober.ran
        try:
            stream = await self._opener.open(target)
        except ClusterSilent:
            self._prober.silent(target.cluster, began=began)
            raise
        self._prober.opened(target.cluster)
        return stream
