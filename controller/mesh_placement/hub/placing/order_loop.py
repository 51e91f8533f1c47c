"""Orders clusters where nothing fits, follows them, and gives back what stands idle: look, think, act.

One key a ClusterSet: its claims (`decide.claim_life`), then what is ordered (`schedule.ordering`). What a
provider does for a claim is its own; the two meet in the claim alone.
"""

from collections.abc import Callable, Iterable
from typing import Final, Never

import msgspec

from mesh_core.conditions import as_json
from mesh_core.plan import Json
from mesh_placement.decide.claim_life import ClaimFacts, ClaimPlan, plan_claim
from mesh_placement.decide.rights import namespace_of
from mesh_placement.hub.placing.caches import PlacementCaches
from mesh_placement.hub.writing import delete_that
from mesh_placement.names import CLAIM_FINALIZER, HUB_MANAGER, placed_name
from mesh_placement.objects import ClusterClaim, ClusterClaimStatus, ClusterSet, ClusterVerdict, Placement
from mesh_placement.resources import CLUSTER_CLAIMS, CLUSTER_REGISTRATIONS, CLUSTER_SETS
from mesh_placement.schedule.ordering import Unplaced, after_giving_back, is_short, order, unplaced
from mesh_placement.schedule.snapshot import Demand
from mesh_runtime.clock import Clock
from mesh_runtime.kube import ApiError, KubeClient
from mesh_runtime.log import logger
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)
_GATHERED: Final = 1.0
"""Seconds for which changes of what is placed are gathered."""
_LOOK: Final = "look"
_SOON: Final = "soon"
"""Two keys a set: a look that is due in an hour must not hold back one that is due in a moment."""
_Key = tuple[str, str]
_AGAIN: Final = 0.5
"""Seconds until a write is tried again that met a newer object."""


class OrderLoop:
    """Make it before the caches run; `run` it for each term of leadership."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        caches: PlacementCaches,
        demand_of: Callable[[Placement], Demand],
        clock: Clock,
    ) -> None:
        self._kube = kube
        self._caches = caches
        self._demand_of = demand_of
        self._clock = clock
        self._queue: WorkQueue[_Key] | None = None
        self._claims_of = caches.claims.index(lambda one: (one.spec.cluster_set,))
        self._members_of = caches.hub.registrations.index(lambda one: (one.spec.cluster_set,))
        self._assigned = caches.assignments.index(lambda one: (one.metadata.namespace,))
        self._worked = caches.works.index(lambda one: (one.metadata.namespace,))
        self._placed = caches.placements.index(lambda one: [each.cluster for each in one.status.clusters])
        self._follow()

    async def run(self) -> Never:
        """Work, for ever, or until cancelled because another replica leads."""
        self._queue = WorkQueue[_Key]()
        self._all_now()
        try:
            await work(self._queue, self._reconcile, name="orders of")
        finally:
            self._queue = None

    async def _reconcile(self, key: _Key) -> float | None:
        what, name = key
        if what == _SOON:
            self._add(name)
            return None
        wanted = self._caches.hub.sets.get(name)
        waits: list[float] = []
        try:
            for claim in sorted(self._claims_of.get(name), key=lambda one: one.metadata.name):
                plan = self._plan(claim)
                await self._act(claim, plan, wanted=wanted)
                waits += [plan.look_again] if plan.look_again is not None else []
            if wanted is not None and wanted.spec.provision is not None:
                waits += await self._order(wanted)
        except ApiError as error:
            if not error.is_conflict:
                raise
            return _AGAIN
        return min(waits, default=None)

    def _plan(self, claim: ClusterClaim) -> ClaimPlan:
        registration = self._caches.hub.registrations.get(claim.metadata.name)
        is_occupied = bool(self._placed.get(claim.metadata.name))
        if registration is not None:
            space = namespace_of(registration)
            is_occupied = is_occupied or bool(self._assigned.get(space) or self._worked.get(space))
        facts = ClaimFacts(claim=claim, registration=registration, is_occupied=is_occupied, now=self._clock())
        return plan_claim(facts)

    async def _act(self, claim: ClusterClaim, plan: ClaimPlan, *, wanted: ClusterSet | None) -> None:
        """In an order in which a hub that dies in between ends the same: what is noted comes first."""
        name = claim.metadata.name
        if plan.hold:
            await self._finalizers(claim, [*claim.metadata.finalizers, CLAIM_FINALIZER])
            return  # the watch brings it back
        if _own(plan.status) != _own(claim.status):
            await self._say(claim, plan.status)
        if plan.send_away is not None:
            _log.info("an ordered cluster leaves", cluster=name)
            await delete_that(self._kube, CLUSTER_REGISTRATIONS, plan.send_away)
        if plan.release:
            kept = [one for one in claim.metadata.finalizers if one != CLAIM_FINALIZER]
            await self._finalizers(claim, kept)
        if plan.give_back:
            if wanted is not None:
                await self._note(wanted, used=plan.status.used)
            _log.info("an ordered cluster is given back", cluster=name, used=plan.status.used)
            await delete_that(self._kube, CLUSTER_CLAIMS, claim)

    async def _order(self, wanted: ClusterSet) -> list[float]:
        registrations = self._caches.hub.registrations.values()
        claims = self._claims_of.get(wanted.metadata.name)
        taken = {one.metadata.name for one in (*registrations, *self._caches.claims.values())}
        made = order(wanted, claims=claims, lacking=self._lacking(wanted), taken=taken, now=self._clock())
        if made.claim is None:
            return [] if made.look_again is None else [made.look_again]
        # Read, because the watch may not have shown yet what we ordered a moment ago.
        there = (await self._kube.list(CLUSTER_CLAIMS)).items
        if {one.metadata.uid for one in there} != {one.metadata.uid for one in self._caches.claims.values()}:
            return [_AGAIN]
        await self._kube.create(CLUSTER_CLAIMS, made.claim)
        _log.info(
            "a cluster is ordered",
            cluster=made.claim["metadata"]["name"],
            set=wanted.metadata.name,
            because=made.claim["spec"]["because"],
        )
        return []

    def _lacking(self, wanted: ClusterSet) -> Iterable[Unplaced]:
        """What finds no room in the set, of namespaces that may use it."""
        name = wanted.metadata.name
        members = {one.metadata.name for one in self._members_of.get(name)}
        for placement in self._caches.placements.values():
            is_ours = name in placement.spec.cluster_sets and is_short(placement)
            if is_ours and self._may_use(placement.metadata.namespace, wanted):
                found = unplaced(
                    placement,
                    verdicts=self._verdicts(placement),
                    members=members,
                    demand=self._demand_of(placement),
                )
                if found is not None:
                    yield found

    def _verdicts(self, placement: Placement) -> list[ClusterVerdict]:
        meta = placement.metadata
        label = placed_name(meta.namespace, name=meta.name)
        pages = self._caches.reports_of.get((meta.namespace, label))
        return [verdict for page in pages for verdict in page.clusters]

    def _may_use(self, namespace: str, wanted: ClusterSet) -> bool:
        selector = wanted.spec.namespaces
        if selector is None:
            return True
        found = self._caches.namespaces.get(namespace)
        labels = found.metadata.labels if found is not None else {}
        return found is not None and selector.match_labels.items() <= labels.items()

    async def _say(self, claim: ClusterClaim, status: ClusterClaimStatus) -> None:
        body = {"metadata": _very(claim), "status": _own(status)}
        await self._kube.apply(CLUSTER_CLAIMS, body, field_manager=HUB_MANAGER, subresource="status")

    async def _note(self, wanted: ClusterSet, *, used: bool) -> None:
        noted = after_giving_back(wanted.status.provision, used=used, now=self._clock())
        if noted == wanted.status.provision:
            return
        body = {"metadata": _very(wanted), "status": {"provision": msgspec.to_builtins(noted)}}
        await self._kube.apply(CLUSTER_SETS, body, field_manager=HUB_MANAGER, subresource="status")

    async def _finalizers(self, claim: ClusterClaim, finalizers: list[str]) -> None:
        meta = claim.metadata
        change = {"resourceVersion": meta.resource_version, "finalizers": finalizers or None}
        try:
            await self._kube.merge_patch(CLUSTER_CLAIMS, meta.name, {"metadata": change})
        except ApiError as error:
            if not error.is_not_found:
                raise

    def _follow(self) -> None:
        caches = self._caches
        caches.claims.follow(lambda _key, old, new: self._claim_changed(old, new))
        caches.hub.sets.follow(lambda key, _old, _new: self._add(key[1]))
        caches.hub.registrations.follow(lambda _key, _old, _new: self._all_soon())
        for cache in (caches.assignments, caches.works, caches.placements, caches.reports, caches.namespaces):
            cache.on_change(self._all_soon)

    def _claim_changed(self, old: ClusterClaim | None, new: ClusterClaim | None) -> None:
        for one in (old, new):
            if one is not None:
                self._add(one.spec.cluster_set)

    def _add(self, name: str) -> None:
        if self._queue is not None:
            self._queue.add((_LOOK, name))

    def _all_now(self) -> None:
        for name in self._concerned():
            self._add(name)

    def _all_soon(self) -> None:
        if self._queue is not None:
            for name in self._concerned():
                self._queue.add_later((_SOON, name), seconds=_GATHERED)

    def _concerned(self) -> set[str]:
        """Sets that may order, or that something was ordered for."""
        allowed = {one.metadata.name for one in self._caches.hub.sets.values() if one.spec.provision}
        return allowed | {one.spec.cluster_set for one in self._caches.claims.values()}


def _own(status: ClusterClaimStatus) -> Json:
    """The hub's part of it, as it is written."""
    return {
        "phase": status.phase,
        "registration": status.registration,
        "idleSince": status.idle_since,
        "used": status.used,
        "conditions": [as_json(one) for one in status.conditions],
    }


def _very(one: ClusterClaim | ClusterSet) -> Json:
    """That object and no other of its name."""
    return {"name": one.metadata.name, "uid": one.metadata.uid}
