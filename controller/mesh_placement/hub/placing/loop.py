"""Places: decides all Placements together, then carries each one out by itself.

One key decides (`hub.placing.cycle`), one key a Placement acts (`hub.placing.act`), one key asks members
for handshakes (`hub.placing.probe_asking`). Changes that somebody
waits for are decided at once, others are gathered: not each sample of a round trip is news. What members say
waits for a rest too (`hub.placing.pacing`): none of them keeps the hub deciding.
"""

import asyncio
from collections.abc import Collection
from typing import Final, Never

from msgspec.structs import replace

from mesh_core.objects import KubernetesObject, Lease
from mesh_placement.hub.placing.act import PlacementActor
from mesh_placement.hub.placing.bringing import Bringer
from mesh_placement.hub.placing.caches import PlacementCaches
from mesh_placement.hub.placing.cycle import Cycle, Scheduling
from mesh_placement.hub.placing.known_placements import Key, KnownPlacements
from mesh_placement.hub.placing.load_telling import LOOK, LoadTelling
from mesh_placement.hub.placing.pacing import Pace
from mesh_placement.hub.placing.probe_asking import ask_members
from mesh_placement.hub.placing.sources import Sources
from mesh_placement.hub.placing.standing_book import StandingBook
from mesh_placement.names import (
    ANNOTATION_API_LOST,
    ANNOTATION_FAILBACK,
    LABEL_PLACEMENT,
    LABEL_PLACEMENT_KEY,
)
from mesh_placement.objects import (
    AgentReport,
    Assignment,
    ClusterLink,
    ClusterRegistration,
    ClusterSet,
    Placement,
    Verification,
)
from mesh_placement.schedule.keeping import forget_all
from mesh_placement.schedule.snapshot import Demand
from mesh_runtime.clock import Clock
from mesh_runtime.kube import ApiError, KubeClient
from mesh_runtime.work import WorkQueue, work

_WORKERS: Final = 4
# After a write that met a newer object; its echo brings the key sooner, as a rule.
_AGAIN: Final = 0.2
# No namespace is called "".
_DECIDE: Final[Key] = ("", "decide")
_ASK: Final[Key] = ("", "ask")
_LOAD: Final[Key] = ("", "load")
_NOW: Final[Key] = ("", "now")
_TOLD: Final[Key] = ("", "told")
_SOON: Final[Key] = ("", "soon")
_LATER: Final[Key] = ("", "later")
_GATHERED: Final = {_NOW: 0.1, _TOLD: 0.1, _SOON: 2.0, _LATER: 30.0}
"""Seconds for which changes are gathered; all but the first are what members say."""


class PlacementLoop:
    """Make it before the caches run; `run` it for each term of leadership."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        caches: PlacementCaches,
        scheduling: Scheduling,
        clock: Clock,
    ) -> None:
        self._kube = kube
        self._caches = caches
        self._scheduling = scheduling
        self._clock = clock
        self._queue: WorkQueue[Key] | None = None
        self._term: tuple[KnownPlacements, Cycle, PlacementActor] | None = None
        self._pace = Pace()
        self.telling: LoadTelling | None = None
        self._follow()

    async def run(self) -> Never:
        """Work, for ever, or until cancelled because another replica leads."""
        queue = self._queue = WorkQueue[Key]()
        self._pace = Pace()
        self.telling = LoadTelling(self._kube, caches=self._caches, clock=self._clock)
        self._add(_DECIDE)
        for one in self._caches.placements.values():
            self._add(one.key)
        try:
            async with asyncio.TaskGroup() as group:
                self._term = self._new_term(group)
                for _ in range(_WORKERS):
                    group.create_task(work(queue, self._reconcile, name="placement"))
        finally:
            self._queue = self.telling = None
            # Whoever does not lead decides nothing: what it kept for the next cycle would only take memory.
            forget_all()
        raise AssertionError("a worker ended by itself")

    def demand_of(self, placement: Placement) -> Demand:
        """What the Placement asks for as it was decided last, with all that comes along; of one that nobody
        has decided, what its own manifests ask for."""
        known = self._term[1].demand_of(placement) if self._term is not None else None
        return known or self._scheduling.demand_of(placement, (self._caches.rules,))

    async def _reconcile(self, key: Key) -> float | None:
        if self.telling is not None:
            self.telling.taken(key)
        if key == _LOAD:
            return await self.telling.tell() if self.telling is not None else None
        if key in _GATHERED:
            rest = 0.0 if key == _NOW else self._pace.rest(_now(), least=_GATHERED[_TOLD])
            if rest > 0.0:
                return rest
            self._add(_DECIDE)
            return None
        if key == _DECIDE:
            return await self._decide()
        if key == _ASK:
            return await self._ask_members()
        try:
            return await self._act(key)
        except ApiError as error:
            if not error.is_conflict:
                raise
            # It changed since the cache saw it, often by ourselves.
            return _AGAIN

    async def _decide(self) -> float | None:
        assert self._term is not None, "keys are worked in a term"
        _, cycle, _ = self._term
        assert self.telling is not None, "and so is the load"
        self._pace.begin(_now())
        self.telling.book.begin(_now())
        if self._queue is not None:
            self._queue.add_later(_LOAD, seconds=LOOK)  # this one may take long
        try:
            news, again = await cycle.run()
        finally:
            self._pace.end(_now())
            self.telling.book.end(_now())
            self._add(_LOAD)
        for key in news:
            self._add(key)
        self._add(_ASK)
        return again

    async def _ask_members(self) -> float | None:
        assert self._term is not None, "keys are worked in a term"
        _, cycle, _ = self._term
        return await ask_members(self._kube, self._caches, wanted=cycle.asked)

    async def _act(self, key: Key) -> float | None:
        assert self._term is not None, "keys are worked in a term"
        known, cycle, actor = self._term
        placement = known.get(key)
        if placement is None:
            cycle.decided.pop(key, None)
            actor.forget(key)
            return None
        begun = cycle.decided.get(key)
        decided, wait = await actor.act(placement, begun)
        if decided is not None and cycle.decided.get(key) is begun:
            cycle.decided[key] = decided  # else there is a newer one by now
        return wait

    def _new_term(self, group: asyncio.TaskGroup) -> tuple[KnownPlacements, Cycle, PlacementActor]:
        sources = Sources(self._kube, group=group)
        bringer = Bringer(
            sources,
            is_dedicated=self._caches.hub.is_dedicated,
            changed=self._brings_otherwise,
            rules=lambda: self._caches.rules,
        )
        known = KnownPlacements(self._caches.placements, filled=bringer.filled)
        cycle = Cycle(
            self._caches,
            known=known,
            standings=StandingBook(self._kube, caches=self._caches.hub),
            bringer=bringer,
            scheduling=self._scheduling,
            clock=self._clock,
        )
        actor = PlacementActor(
            self._kube,
            caches=self._caches,
            known=known,
            bringer=bringer,
            sources=sources,
            ask=lambda: self._gather(_NOW),
            is_beyond=lambda key: key in cycle.beyond,
            clock=self._clock,
        )
        return known, cycle, actor

    def _follow(self) -> None:
        caches = self._caches
        caches.placements.follow(self._placement_changed)
        caches.assignments.follow(self._assignment_changed)
        caches.links.follow(self._link_changed)
        caches.capacities.on_change(lambda: self._gather(_SOON))
        caches.hub.registrations.follow(self._registration_changed)
        caches.hub.sets.follow(self._set_changed)
        caches.priorities.on_change(lambda: self._gather(_NOW))
        caches.hub.leases.follow(self._lease_changed)
        caches.hub.info.on_change(self._hub_changed)
        caches.interpreters.on_change(self._rules_changed)
        caches.namespaces.follow(self._namespace_changed)
        caches.works.follow(self._made_changed)
        caches.copies.follow(self._made_changed)
        caches.reports.follow(self._made_changed)
        caches.decisions.follow(self._told_changed)

    def _placement_changed(self, key: Key, old: Placement | None, new: Placement | None) -> None:
        self._add(key)
        if old is None or new is None or _asked(old) != _asked(new):
            self._gather(_NOW)

    def _set_changed(self, _key: Key, old: ClusterSet | None, new: ClusterSet | None) -> None:
        """What the hub says of it by itself is no news."""
        if old is None or new is None or old.metadata.generation != new.metadata.generation:
            self._gather(_NOW)

    def _brings_otherwise(self, key: Key) -> None:
        """What it takes along is there now, has changed, or is gone."""
        self._add(key)
        self._gather(_NOW)

    def _hub_changed(self) -> None:
        """It may run workloads now, or none any more."""
        for one in self._caches.placements.values():
            if one.spec.resource_selectors:
                self._brings_otherwise(one.key)

    def _rules_changed(self) -> None:
        """Custom resources mean something else now, to the scheduler and to members."""
        self._gather(_NOW)
        for one in self._caches.placements.values():
            self._add(one.key)

    def _assignment_changed(self, key: Key, old: Assignment | None, new: Assignment | None) -> None:
        self._made_changed(key, old, new)
        if old is None or new is None or old.status != new.status:
            self._gather(_SOON)  # what is ready, or verified, may let an old copy go

    def _link_changed(self, _key: Key, old: ClusterLink | None, new: ClusterLink | None) -> None:
        # By what is asked now: a question that is taken out is no word of the member.
        asked = _verified(new)
        self._gather(_LATER if _edges(old, asked) == _edges(new, asked) else _TOLD)
        if _verified(old) != _verified(new):
            self._add(_ASK)  # an echo of ours, as a rule: it may be older than what is wanted by now

    def _lease_changed(self, _key: Key, old: Lease | None, new: Lease | None) -> None:
        if _api_lost(old) != _api_lost(new):
            self._gather(_TOLD)  # what is renewed is no news

    def _registration_changed(
        self, _key: Key, old: ClusterRegistration | None, new: ClusterRegistration | None
    ) -> None:
        self._gather(_TOLD if _but_told(old) == _but_told(new) else _NOW)

    def _namespace_changed(
        self, _key: Key, old: KubernetesObject | None, new: KubernetesObject | None
    ) -> None:
        if old is None or new is None or old.metadata.labels != new.metadata.labels:
            self._gather(_NOW)

    def _made_changed(self, _key: Key, old: KubernetesObject | None, new: KubernetesObject | None) -> None:
        """Somebody changed what we gave or told, or we did."""
        for one in (old, new):
            label = one.metadata.labels.get(LABEL_PLACEMENT, "") if one is not None else ""
            for placement in self._caches.named.get(label):
                self._add(placement.key)

    def _told_changed(self, _key: Key, old: KubernetesObject | None, new: KubernetesObject | None) -> None:
        for one in (old, new):
            if one is not None:
                self._add((one.metadata.namespace, one.metadata.labels.get(LABEL_PLACEMENT_KEY, "")))

    def _add(self, key: Key) -> None:
        if self._queue is not None:
            self._queue.add(key)
            if self.telling is not None:
                self.telling.added(key)

    def _gather(self, key: Key) -> None:
        if self._queue is not None:
            self._queue.add_later(key, seconds=_GATHERED[key])


def _asked(one: Placement) -> object:
    """What a person says, and not the hub."""
    meta = one.metadata
    return one.spec, meta.deletion_timestamp is not None, meta.annotations.get(ANNOTATION_FAILBACK)


def _api_lost(one: Lease | None) -> bool:
    return one is not None and bool(one.metadata.annotations.get(ANNOTATION_API_LOST))


def _but_told(one: ClusterRegistration | None) -> object:
    """What people and the hub say of a cluster, and not its agent."""
    if one is None:
        return None
    meta = one.metadata
    said = meta.labels, meta.annotations, meta.deletion_timestamp
    return one.spec, said, replace(one.status, agent=AgentReport())


def _edges(one: ClusterLink | None, asked: Collection[Verification]) -> object:
    """What somebody waits for: ways that come, go or change, exports, and whether they have endpoints."""
    if one is None:
        return None
    status = one.status
    wanted = {(each.service, each.via) for each in asked}
    return (
        [(peer.cluster, peer.state) for peer in status.peers],
        [(export.service, export.ready > 0, export.conflict) for export in status.exports],
        # Of what nobody asks for no word is news.
        [shake for shake in status.handshakes if (shake.service, shake.via) in wanted],
    )


def _verified(one: ClusterLink | None) -> tuple[Verification, ...]:
    return one.spec.verify if one is not None else ()


def _now() -> float:
    return asyncio.get_running_loop().time()
