"""Tells people and foreign tools what was decided of a Placement: its Report and its PlacementDecisions."""

from collections.abc import Mapping, Sequence

from mesh_placement.decide.assigning import name_of
from mesh_placement.decide.decision_slices import decision_slices, is_ours, is_same, slice_body, surplus
from mesh_placement.decide.report_pages import page_body, report_pages, seconds_until_write
from mesh_placement.decide.set_rights import profile_namespace_of
from mesh_placement.hub.placing.caches import PlacementCaches
from mesh_placement.hub.writing import delete_that
from mesh_placement.names import HUB_MANAGER
from mesh_placement.objects import ClusterVerdict, PlacedCluster, Placement
from mesh_placement.resources import PLACEMENT_DECISIONS, PLACEMENT_REPORTS
from mesh_runtime.clock import Clock
from mesh_runtime.kube import KubeClient


class PlacementTeller:
    """Raises ApiError, Unreachable, BadAnswer for the first write that fails."""

    def __init__(self, kube: KubeClient, *, caches: PlacementCaches, clock: Clock) -> None:
        self._kube = kube
        self._caches = caches
        self._clock = clock

    async def report(self, placement: Placement, verdicts: Sequence[ClusterVerdict]) -> float | None:
        """The Report; seconds until it is to be written if it cannot be now."""
        there = self._caches.reports_of.get((placement.metadata.namespace, name_of(placement)))
        now = self._clock()
        wanted = report_pages(
            placement.metadata, revision=placement.status.revision, verdicts=verdicts, now=now
        )
        wait = seconds_until_write(there, wanted, now=now)
        if wait != 0.0:
            return wait
        for page in wanted:
            await self._kube.apply(PLACEMENT_REPORTS, page_body(page), field_manager=HUB_MANAGER)
        names = {one.metadata.name for one in wanted}
        for old in there:
            if old.metadata.name not in names:
                await delete_that(self._kube, PLACEMENT_REPORTS, old)
        return None

    async def decide(self, placement: Placement, *, reasons: Mapping[str, str]) -> None:
        """The PlacementDecisions."""
        meta = placement.metadata
        wanted = decision_slices(
            meta,
            revision=placement.status.revision,
            chosen=self._profiles(placement.status.clusters),
            reasons=reasons,
        )
        there = self._caches.decisions_of.get((meta.namespace, meta.name))
        old = {one.metadata.name: one for one in there}
        for one in wanted:
            if not is_same(one, old.get(one.metadata.name)):
                await self._kube.apply(PLACEMENT_DECISIONS, slice_body(one), field_manager=HUB_MANAGER)
        for rest in surplus(there, wanted=wanted, placement=meta):
            await delete_that(self._kube, PLACEMENT_DECISIONS, rest)

    async def clear(self, placement: Placement) -> None:
        """Take both away."""
        meta = placement.metadata
        for report in self._caches.reports_of.get((placement.metadata.namespace, name_of(placement))):
            await delete_that(self._kube, PLACEMENT_REPORTS, report)
        for decision in self._caches.decisions_of.get((meta.namespace, meta.name)):
            if is_ours(decision, placement=meta):
                await delete_that(self._kube, PLACEMENT_DECISIONS, decision)

    def _profiles(self, clusters: Sequence[PlacedCluster]) -> dict[str, str]:
        """The namespace of each cluster's ClusterProfile; a cluster that has gone has none."""
        found = {}
        for one in clusters:
            registration = self._caches.hub.registrations.get(one.cluster)
            chosen = (
                self._caches.hub.sets.get(registration.spec.cluster_set) if registration is not None else None
            )
            if chosen is not None:
                found[one.cluster] = profile_namespace_of(chosen)
        return found
