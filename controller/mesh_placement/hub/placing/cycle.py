"""One cycle of scheduling: all Placements at one moment, and what is to become of each.

Snapshot and plan are made in a thread: a cycle of thousands of clusters, or one with absurd numbers, must
not hold up the hub's Leases.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from mesh_core.errors import MeshError
from mesh_placement.decide.placement_bounds import beyond
from mesh_placement.decide.rights import namespace_of
from mesh_placement.hub.placing.bringing import Bringer
from mesh_placement.hub.placing.caches import PlacementCaches
from mesh_placement.hub.placing.known_placements import Key, KnownPlacements
from mesh_placement.hub.placing.standing_book import StandingBook
from mesh_placement.names import LINKS
from mesh_placement.objects import Placement, Verification
from mesh_placement.schedule.handshakes import Handshakes, Said, Says, asked_by
from mesh_placement.schedule.interpreting import Interpreter
from mesh_placement.schedule.plan import Decision, Plan, Probe
from mesh_placement.schedule.ruled import Rules
from mesh_placement.schedule.snapshot import Demand, Reservation, Snapshot
from mesh_placement.schedule.snapshotting import Seen, snapshot_of, text_of
from mesh_runtime.clock import Clock
from mesh_runtime.log import logger


class DemandOf(Protocol):
    """What a Placement brings and needs; `rules` are the hub's own, plug-ins come by themselves."""

    def __call__(self, placement: Placement, rules: Sequence[Interpreter] = (), /) -> Demand: ...


@dataclass(frozen=True, slots=True)
class Scheduling:
    """Who decides: `schedule` makes the plan. Both are pure; the first is called in a thread."""

    schedule: Callable[[Snapshot], Plan]
    demand_of: DemandOf


_log = logger(__name__)


class SchedulingFailed(MeshError):
    """The scheduler, or a plug-in of it, did not come to a plan."""

    def __init__(self) -> None:
        super().__init__(
            "the scheduler failed; what runs stays where it is",
            next_step="see the log of the hub; where a plug-in failed, take it out",
        )


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision, and the Placement that it was made of: its generation and revision, and the `content` that
    came along then, which may not have been read yet."""

    decision: Decision
    generation: int
    revision: int
    content: str = ""

    def is_about(self, placement: Placement, *, content: str) -> bool:
        """Whether the Placement, and what comes along, is still what was decided on."""
        basis = self.decision.uid, self.generation, self.revision, self.content
        now = placement.metadata.generation, placement.status.revision, content
        return basis == (placement.origin.uid, *now)

    def carried_out(self, placement: Placement) -> "Decided":
        """The same, once the Placement says it."""
        return replace(self, revision=placement.status.revision)


class Cycle:
    """One a term of leadership; `decided` is by namespace and name."""

    def __init__(
        self,
        caches: PlacementCaches,
        *,
        known: KnownPlacements,
        standings: StandingBook,
        bringer: Bringer,
        scheduling: Scheduling,
        clock: Clock,
    ) -> None:
        self.decided: dict[Key, Decided] = {}
        self.beyond: frozenset[Key] = frozenset()
        self._caches = caches
        self._known = known
        self._bringer = bringer
        self._scheduling = scheduling
        self._clock = clock
        self._demands: dict[str, tuple[tuple[int, str, Rules], Demand]] = {}
        self._standings = standings
        self._reservations: tuple[Reservation, ...] | None = None
        self._handshakes = Handshakes()

    async def run(self) -> tuple[list[Key], float | None]:
        """Decide all: the Placements of which that is news, and the seconds until somebody has to look again
        though nothing changes. Raises SchedulingFailed; ApiError or Unreachable where a verdict is not noted,
        of which then nothing follows."""
        every, crowd = self._known.values(), self.beyond
        self.beyond = beyond(every)
        everyone = [one for one in every if one.key not in self.beyond]
        self._bringer.attend(everyone)
        placements = [one for one in everyone if self._bringer.takes_part(one)]
        now = self._clock()
        handshakes = self._handshakes.heard(self._says(), now=now.timestamp())
        seen = Seen(
            # Lists: what the caches give changes with them, and a thread reads these.
            sets=list(self._caches.hub.sets.values()),
            clusters=self._caches.rows(),
            namespaces=list(self._caches.namespaces.values()),
            placements=placements,
            assignments=list(self._caches.assignments.values()),
            priorities={one.metadata.name: one.value for one in self._caches.priorities.values()},
            demands=self._demands_of(placements),
            known_dead=self._standings.known_dead(),
            api_lost=self._standings.api_lost(),
            reservations=self._reservations,
            probes=handshakes.rows(),
            stays={text_of(one) for one in placements if self._bringer.stays(one)},
        )
        snapshot, plan = await self._planned(seen, now=now)
        await self._standings.note(snapshot)
        self._handshakes = handshakes.asking(asked_by(plan), self._says(), now=now.timestamp())
        basis = {text_of(one): one for one in placements}
        self._reservations = tuple(one for one in plan.reservations if one.placement in basis)
        before, self.decided = (
            self.decided,
            {
                basis[one.placement].key: Decided(
                    one,
                    basis[one.placement].metadata.generation,
                    basis[one.placement].status.revision,
                    content=self._demands[basis[one.placement].metadata.uid][0][1],
                )
                for one in plan.decisions
                if one.placement in basis
            },
        )
        again = min((one.again for one in plan.decisions if one.again is not None), default=None)
        news = [key for key, one in self.decided.items() if one != before.get(key)]
        news += sorted(crowd ^ self.beyond)
        return news, None if again is None else max(1.0, again - now.timestamp())

    def demand_of(self, placement: Placement) -> Demand | None:
        """What the last cycle took it to ask for; None for one that it did not decide."""
        kept = self._demands.get(placement.metadata.uid)
        return kept[1] if kept is not None else None

    @property
    def asked(self) -> Mapping[str, tuple[Verification, ...]]:
        """The handshakes that are waited for, by the cluster that is to try them."""
        found: dict[str, list[Verification]] = {}
        for probe in self._handshakes.asked:
            found.setdefault(probe.source, []).append(Verification(service=probe.service, via=probe.via))
        return {name: tuple(sorted(each, key=_order)) for name, each in found.items()}

    def _says(self) -> Says:
        """What members say of handshakes; each member's rows are read once."""
        read: dict[str, Mapping[tuple[str, str], Said]] = {}

        def says(probe: Probe) -> Said | None:
            if probe.source not in read:
                read[probe.source] = self._said_by(probe.source)
            return read[probe.source].get((probe.service, probe.via))

        return says

    def _said_by(self, cluster: str) -> Mapping[tuple[str, str], Said]:
        registration = self._caches.hub.registrations.get(cluster)
        if registration is None:
            return {}
        link = self._caches.links.get(LINKS, namespace=namespace_of(registration))
        shakes = link.status.handshakes if link is not None else ()
        return {(one.service, one.via): (one.result, one.at) for one in shakes}

    async def _planned(self, seen: Seen, *, now: datetime) -> tuple[Snapshot, Plan]:
        def work() -> tuple[Snapshot, Plan]:
            snapshot = snapshot_of(seen, now=now)
            return snapshot, self._scheduling.schedule(snapshot)

        try:
            return await asyncio.to_thread(work)
        except Exception as error:  # a plug-in is somebody else's code: registrations go on without it
            _log.error("the scheduler failed; all stays as it is", why=f"{type(error).__name__}: {error}")
            raise SchedulingFailed from error

    def _demands_of(self, placements: list[Placement]) -> Mapping[str, Demand]:
        """Made anew only where a spec or a rule changed: manifests may be long."""
        before, self._demands = self._demands, {}
        rules = self._caches.rules
        for one in placements:
            kept = before.get(one.metadata.uid)
            stamp = one.metadata.generation, self._bringer.brought(one).content, rules
            if kept is None or kept[0] != stamp:
                kept = stamp, self._scheduling.demand_of(one, (rules,))
            self._demands[one.metadata.uid] = kept
        return {text_of(one): self._demands[one.metadata.uid][1] for one in placements}


def _order(one: Verification) -> tuple[str, str]:
    return one.service, one.via
