"""Carries out what was decided of one Placement, in an order in which the hub may die anywhere:

    finalizer -> status (the decision itself) -> Report -> PlacementDecisions
              -> Secrets -> Assignments -> Works

Whoever comes after us does the rest from the status. What members report comes into the same status.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from mesh_core.conditions import as_json
from mesh_core.objects import Condition
from mesh_core.plan import Json
from mesh_placement.decide.assigning import name_of
from mesh_placement.decide.placement_bounds import TOO_MANY
from mesh_placement.decide.placement_conditions import (
    DEPENDENCIES,
    applied,
    dependencies,
    refused,
    removing,
    rolling,
    taken,
    traffic_verified,
    with_conditions,
    with_feedback,
)
from mesh_placement.decide.rolling_out import RolledOut, rolled_out
from mesh_placement.decide.traffic_trial import TRAFFIC_VERIFIED
from mesh_placement.decide.work_status import is_urgent
from mesh_placement.hub.placing.bringing import Bringer
from mesh_placement.hub.placing.caches import PlacementCaches
from mesh_placement.hub.placing.cycle import Decided
from mesh_placement.hub.placing.giving import PlacementGiver
from mesh_placement.hub.placing.known_placements import Key, KnownPlacements
from mesh_placement.hub.placing.secrets import SecretCopier
from mesh_placement.hub.placing.sources import Sources
from mesh_placement.hub.placing.telling import PlacementTeller
from mesh_placement.names import HUB_MANAGER, PLACEMENT_FINALIZER
from mesh_placement.objects import Assignment, Placement, PlacementStatus
from mesh_placement.resources import PLACEMENTS
from mesh_placement.schedule.outcome import decided_status
from mesh_runtime.clock import Clock
from mesh_runtime.kube import KubeClient
from mesh_runtime.log import logger

_log = logger(__name__)
QUIET: Final = 2.0
"""Seconds between two writes of a status that nobody waits for."""
_ROUNDED: Final = 0.001
"""What is left of them by rounding would be waited for again and again."""
_SOON: Final = 1.0
"""A time that is written down has whole seconds."""


class PlacementActor:
    """One a term of leadership; `ask` has all Placements decided anew; who `is_beyond` is not scheduled."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        caches: PlacementCaches,
        known: KnownPlacements,
        bringer: Bringer,
        sources: Sources,
        ask: Callable[[], None],
        is_beyond: Callable[[Key], bool],
        clock: Clock,
    ) -> None:
        self._kube = kube
        self._caches = caches
        self._known = known
        self._bringer = bringer
        self._ask = ask
        self._is_beyond = is_beyond
        self._clock = clock
        self._teller = PlacementTeller(kube, caches=caches, clock=clock)
        copier = SecretCopier(kube, caches=caches, sources=sources)
        self._giver = PlacementGiver(kube, caches=caches, bringer=bringer, copier=copier)
        self._written: dict[Key, float] = {}

    async def act(self, placement: Placement, decided: Decided | None) -> tuple[Decided | None, float | None]:
        """The decision as it stands afterwards, and the seconds until another look, None for no other.

        Raises ApiError, Unreachable, BadAnswer.
        """
        if placement.metadata.deletion_timestamp is not None:
            await self._remove(placement)
            return None, None
        refusal = self._bringer.refusal(placement)
        if refusal is None and self._is_beyond(placement.key):
            refusal = TOO_MANY
        if refusal is not None:
            condition = refused(refusal, generation=placement.metadata.generation)
            return None, await self._show(placement, self._status(placement, condition))
        if self._bringer.is_held(placement):
            return None, await self._show(placement, self._status(placement))
        content = self._bringer.brought(placement).content
        if decided is not None and not decided.is_about(placement, content=content):
            self._ask()
            decided = None
        if decided is None:
            # What was decided before is kept true meanwhile.
            if self._is_told(placement):
                await self._giver.assign(placement)
            return None, await self._show(placement, self._status(placement))
        return await self._carry_out(await self._finalized(placement), decided)

    def forget(self, key: Key) -> None:
        """The Placement is gone."""
        self._written.pop(key, None)
        self._giver.forget(key)

    async def _carry_out(self, placement: Placement, decided: Decided) -> tuple[Decided, float | None]:
        decision = decided.decision
        status = decided_status(
            placement,
            decision,
            least_revision=self._least_revision(placement),
            now=self._clock(),
            content=self._bringer.brought(placement).content,
        )
        rolled = self._rolled(placement, status)
        status = msgspec.structs.replace(status, clusters=rolled.clusters)
        placement, wait = await self._shown(placement, self._status_of(placement, status, rolled=rolled))
        waits = [wait, await self._teller.report(placement, decision.verdicts)]
        if rolled.again is not None:
            waits.append(max(_SOON, (rolled.again - self._clock()).total_seconds()))
        reasons = {one.cluster: one.verdict for one in decision.verdicts}
        await self._teller.decide(placement, reasons=reasons)
        if self._is_told(placement):
            await self._giver.assign(placement)
        rest = min((one for one in waits if one is not None), default=None)
        return decided.carried_out(placement), rest

    def _is_told(self, placement: Placement) -> bool:
        """Whether the status says what it brings by now: members are given nothing else."""
        status, content = placement.status, self._bringer.brought(placement).content
        return (status.observed_generation, status.content) == (placement.metadata.generation, content)

    async def _remove(self, placement: Placement) -> None:
        if PLACEMENT_FINALIZER not in placement.metadata.finalizers:
            return
        left = await self._giver.remove(placement)
        if left:
            condition = removing(left, generation=placement.metadata.generation)
            await self._show(placement, self._status(placement, condition))
            return
        await self._teller.clear(placement)
        meta = placement.metadata
        others = [one for one in meta.finalizers if one != PLACEMENT_FINALIZER]
        await self._patch(placement, {"finalizers": others})
        _log.info("a placement is gone", placement="/".join(placement.key))

    async def _finalized(self, placement: Placement) -> Placement:
        held = placement.metadata.finalizers
        if PLACEMENT_FINALIZER in held:
            return placement
        return self._known.note(await self._patch(placement, {"finalizers": [*held, PLACEMENT_FINALIZER]}))

    async def _patch(self, placement: Placement, change: Json) -> Placement:
        meta = placement.metadata
        body = {"metadata": {"resourceVersion": meta.resource_version, **change}}
        return await self._kube.merge_patch(PLACEMENTS, meta.name, body, namespace=meta.namespace)

    def _status(self, placement: Placement, *conditions: Condition) -> PlacementStatus:
        """As it is, with what members report, and these conditions."""
        return self._status_of(placement, placement.status, *conditions)

    def _status_of(
        self,
        placement: Placement,
        status: PlacementStatus,
        *conditions: Condition,
        rolled: RolledOut | None = None,
    ) -> PlacementStatus:
        """`rolled` None: nobody has looked how far a rollout is, and what is said of it stays."""
        given, generation = self._given(placement), placement.metadata.generation
        status = msgspec.structs.replace(status, clusters=with_feedback(status.clusters, assignments=given))
        is_said = any(one.type == "Applied" for one in conditions)
        is_kept = rolled is None and placement.spec.rollout.max_concurrent is not None
        if not is_said and not is_kept and status.revision:
            others = self._giver.taken(placement, status.clusters)
            if others:
                news = taken(others, name=name_of(placement), generation=generation)
            else:
                told = rolling(status, rolled, assignments=given, generation=generation) if rolled else None
                news = told or applied(status, assignments=given, generation=generation)
            conditions = (*conditions, news)
        without = []
        if not placement.spec.require.services:
            without.append(TRAFFIC_VERIFIED)
        elif status.revision:
            verified = traffic_verified(status, assignments=given, generation=generation)
            conditions = (*conditions, verified)
        if not self._bringer.takes(placement):
            without.append(DEPENDENCIES)
        elif (along := self._bringer.along(placement)) is not None:
            conditions = (*conditions, dependencies(along, generation=generation))
        return with_conditions(status, conditions, now=self._clock(), without=tuple(without))

    def _rolled(self, placement: Placement, status: PlacementStatus) -> RolledOut:
        """Who of its clusters gets now what the spec brings."""
        rule = placement.spec.rollout
        copies = self._giver.copies(placement, status.clusters) if rule.max_concurrent is not None else {}
        return rolled_out(status.clusters, copies, rule=rule, revision=status.revision, now=self._clock())

    def _given(self, placement: Placement) -> dict[str, Assignment]:
        """Its Assignments by cluster."""
        given = self._caches.given_assignments(name_of(placement))
        return {self._caches.cluster_in(one.metadata.namespace): one for one in given}

    def _least_revision(self, placement: Placement) -> int:
        """The greatest that members were given: a Placement from an old copy goes on from there."""
        given = self._caches.given_assignments(name_of(placement))
        return max((one.spec.revision for one in given), default=0)

    async def _show(self, placement: Placement, status: PlacementStatus) -> float | None:
        return (await self._shown(placement, status))[1]

    async def _shown(self, placement: Placement, status: PlacementStatus) -> tuple[Placement, float | None]:
        """The Placement with that status; with the seconds that its write has to wait."""
        before = placement.status
        if status == before:
            return placement, None
        is_news = status.revision != before.revision or is_urgent(before.conditions, status.conditions)
        now = asyncio.get_running_loop().time()
        wait = QUIET - (now - self._written.get(placement.key, now - QUIET))
        if wait > _ROUNDED and not is_news:
            return placement, wait
        meta = placement.metadata
        # With its uid: a status must not land on another object that has the name by now.
        body = {
            "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
            "status": _as_json(status),
        }
        written = await self._kube.apply(PLACEMENTS, body, field_manager=HUB_MANAGER, subresource="status")
        self._written[placement.key] = now
        if status.revision != before.revision:
            _log.info(
                "a placement was decided",
                placement="/".join(placement.key),
                revision=status.revision,
                clusters=",".join(one.cluster for one in status.clusters),
            )
        return self._known.note(written), None


def _as_json(status: PlacementStatus) -> Json:
    body: Json = msgspec.to_builtins(status)
    body.pop("origin")  # another manager's
    body["conditions"] = [as_json(one) for one in status.conditions]
    return body
