"""Knocks at every peer's gateways, and at the pods of neighbours, once a second (ruling 8).

1. While a peer answers, one address is asked: the one that answered last. When it does not, all of them are,
   and one that answers is enough.
2. So many knocks go out at a time at most (`_AT_A_TIME`), and the turns of the peers are spread by chance.
3. A pod that refuses lives: a refusal comes from there. A gateway that refuses is no way in.
4. Streams of the egress half are witnesses too: one that was opened is life, one for which no gateway
   answered is a failure.
5. A tunnel is the best of witnesses: while one stands, nobody knocks at that peer's gateways. Of a peer that
   we never dial it is the only one, and a round without it is a failure.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mesh_core.objects import EndpointSlice, MeshPeer
from mesh_core.path_report import Finding, Pods, Tunnel
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
_AT_A_TIME = 128
_OLD = 0.8
"""Seconds for which a list of pods must do: it costs a walk over all slices."""
_LIFE = frozenset({Answer.OPEN, Answer.SHUT, Answer.REFUSED})
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


@dataclass(slots=True)
class _Known:
    """What is known of the ways to one peer."""

    gateways: Path
    pods: Path | None = None
    good: Address | None = None
    turn: int = 0


class Prober:
    """Of the gateway at the address `own`; `found` hears what each round comes to, changed or not."""

    def __init__(
        self,
        own: str,
        *,
        surroundings: Surroundings,
        knock: Knock,
        found: Callable[[str, Finding], None],
    ) -> None:
        self._own = own
        self._surroundings = surroundings
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
            known.gateways = known.gateways.after(success=True, now=self.ran)

    def silent(self, cluster: str, *, began: float) -> None:
        """No gateway of the cluster answered a stream that was begun when we had run for `began` seconds."""
        known = self._known.get(cluster)
        if known is not None and is_fair(ran=self.ran - began, limit=LIMIT):
            known.gateways = known.gateways.after(success=False, now=self.ran)

    def tunnel(self, cluster: str, *, up: bool) -> None:
        """The first tunnel to the cluster stands, or its last one has ended; may be said again."""
        was_up = self._tunnels.get(cluster) is Tunnel.UP
        self._tunnels[cluster] = Tunnel.UP if up else Tunnel.DOWN
        known = self._known.get(cluster)
        if known is not None and (up or was_up):
            # Until this moment it was a way there, too.
            known.gateways = known.gateways.after(success=True, now=self.ran)
            self._tell(cluster, known)

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
        while True:
            began = self.ran
            peer = next((p for p in self._surroundings.peers() if p.metadata.name == name), None)
            if peer is not None:
                await self._round(peer)
            pause = _EVERY * random.uniform(0.8, 1.2) - (self.ran - began)
            await asyncio.sleep(max(pause, _EVERY / 10))

    async def _round(self, peer: MeshPeer) -> None:
        """One turn of knocks at a peer."""
        name = peer.metadata.name
        known = self._known.setdefault(name, _Known(Path(since=self.ran)))
        is_tunnelled = self._tunnels.get(name) is Tunnel.UP
        async with asyncio.TaskGroup() as group:
            group.create_task(self._try_pods(known, peer))
            if is_tunnelled or peer.spec.dial == "inbound":
                known.gateways = known.gateways.after(success=is_tunnelled, now=self.ran)
            else:
                group.create_task(self._try_gateways(known, gateways_of(peer)))
        self._tell(name, known)

    def _tell(self, name: str, known: _Known) -> None:
        """Say how the peer stands, as soon as anything is known of its gateways."""
        verdict = known.gateways.verdict
        if verdict is not Verdict.UNKNOWN:
            pods = _PODS[known.pods.verdict] if known.pods is not None else Pods.UNKNOWN
            tunnel = self._tunnels.get(name, Tunnel.NONE)
            self._found(name, Finding(verdict is Verdict.UP, pods, tunnel))

    async def _try_gateways(self, known: _Known, gateways: Sequence[Address]) -> None:
        asked = (known.good,) if known.good in gateways and known.good is not None else tuple(gateways)
        results = await self._ask(asked, life=frozenset({Answer.OPEN}))
        known.good = next((address for address, lives in results.items() if lives), None)
        if known.good is not None:
            known.gateways = known.gateways.after(success=True, now=self.ran)
        elif results:
            known.gateways = known.gateways.after(success=False, now=self.ran)

    async def _try_pods(self, known: _Known, peer: MeshPeer) -> None:
        pods = self._pods_of(peer)
        if not pods:
            known.pods = None
            return
        if known.pods is None:
            # What another gateway has heard of the pods, or we before a restart, shows that they may answer.
            heard = any(one.pods != Pods.UNKNOWN.value for one in peer.status.gateways)
            known.pods = Path(since=self.ran, shy=not heard)
        known.turn += 1
        results = await self._ask(in_turn(pods, turn=known.turn), life=_LIFE)
        if any(results.values()):
            known.pods = known.pods.after(success=True, now=self.ran)
            return
        for _ in results:
            known.pods = known.pods.after(success=False, now=self.ran)

    def _pods_of(self, peer: MeshPeer) -> tuple[Address, ...]:
        if not is_neighbour(peer, network=self._surroundings.network):
            return ()
        if peer.metadata.name not in self._pods or (self._is_stale and self.ran - self._listed >= _OLD):
            self._is_stale, self._listed = False, self.ran
            network = self._surroundings.network
            near = [p.metadata.name for p in self._surroundings.peers() if is_neighbour(p, network=network)]
            self._pods = pods_of(near, slices=self._surroundings.slices(), own=self._own)
        return self._pods.get(peer.metadata.name, ())

    async def _ask(self, addresses: Sequence[Address], *, life: frozenset[Answer]) -> dict[Address, bool]:
        """Who lives, by address; those are left out that we gave no fair chance."""
        answers: dict[Address, bool] = {}

        async def ask(address: Address) -> None:
            async with self._knocks:
                began = self.ran
                answer = await self._knock(address)
            if answer is not Answer.SILENT or is_fair(ran=self.ran - began, limit=LIMIT):
                answers[address] = answer in life

        async with asyncio.TaskGroup() as group:
            for address in addresses:
                group.create_task(ask(address))
        return {address: answers[address] for address in addresses if address in answers}


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
