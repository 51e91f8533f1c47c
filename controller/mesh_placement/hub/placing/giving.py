"""Gives members what a Placement's status says: Secrets, Assignments and Works, in this order.

1. What is as it should be is not written again.
2. A cluster loses the Works first and the Assignment when they are gone: it says who takes them back. The
   Secrets go last.
3. Nothing is given to a cluster that leaves; and what somebody else made under our name is left alone.
4. Who waits for its turn in a rollout keeps Works and Assignment as they are, but for its replicas.
"""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from mesh_core.objects import KubernetesObject, Secret
from mesh_placement.decide.assigning import (
    PlannedWork,
    Target,
    assignment_body,
    assignment_spec,
    name_of,
    planned_works,
    work_body,
)
from mesh_placement.decide.feedback import Health
from mesh_placement.decide.rolling_out import Copy, content_of
from mesh_placement.hub.placing.bringing import Bringer
from mesh_placement.hub.placing.caches import PlacementCaches
from mesh_placement.hub.placing.known_placements import Key
from mesh_placement.hub.placing.secrets import SecretCopier
from mesh_placement.hub.writing import delete_that
from mesh_placement.names import ANNOTATION_DIGEST, ANNOTATION_REVISION, HUB_MANAGER, LABEL_PLACEMENT
from mesh_placement.objects import Assignment, AssignmentStatus, PlacedCluster, Placement
from mesh_placement.resources import ASSIGNMENTS, WORKS
from mesh_placement.schedule.rendezvous import tie
from mesh_runtime.kube import KubeClient

_AT_ONCE = 8
"""Clusters that one Placement is written to at a time."""


class PlacementGiver:
    """Raises ApiError, Unreachable, BadAnswer for the first write that fails."""

    def __init__(
        self, kube: KubeClient, *, caches: PlacementCaches, bringer: Bringer, copier: SecretCopier
    ) -> None:
        self._kube = kube
        self._caches = caches
        self._bringer = bringer
        self._copier = copier
        self._works: dict[Key, tuple[tuple[str, int, str], tuple[PlannedWork, ...]]] = {}

    def forget(self, key: Key) -> None:
        """The Placement is gone."""
        self._works.pop(key, None)

    def taken(self, placement: Placement, clusters: Sequence[PlacedCluster]) -> list[str]:
        """Those of `clusters` in which somebody else has an Assignment or Work of our name."""
        names = {one.name for one in self._planned(placement)}
        return [
            one.cluster
            for one in clusters
            if (target := self._target(one)) is not None and self._is_taken(placement, target, names)
        ]

    async def assign(self, placement: Placement) -> None:
        """Assignments and Works of all clusters that have a share, then what no cluster is to have."""
        works = self._planned(placement)
        taken = set(self.taken(placement, placement.status.clusters))
        gate = asyncio.Semaphore(_AT_ONCE)
        given = [one for one in placement.status.clusters if one.cluster not in taken]
        targets = [(one, target) for one in given if (target := self._target(one)) is not None]
        contents = await self._copier.read(
            placement, self._bringer.brought(placement).secrets, targets=[target for _, target in targets]
        )

        async def one_cluster(share: PlacedCluster, target: Target) -> None:
            async with gate:
                await self._assign(placement, target, share, works=works, contents=contents)

        # Not a group: the first failure would cancel writes that are under way.
        ends = await asyncio.gather(
            *(one_cluster(share, target) for share, target in targets), return_exceptions=True
        )
        # One cluster that cannot be written to keeps nothing from being taken back elsewhere.
        await self._withdraw(placement, kept={one.cluster for one in placement.status.clusters})
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    def copies(self, placement: Placement, clusters: Sequence[PlacedCluster]) -> dict[str, Copy]:
        """What `clusters` have of it and are to have, but for those to which nothing can be given."""
        works, name = self._planned(placement), name_of(placement)
        told = self._caches.rules.told_of(placement.spec.manifests)
        taken, found = set(self.taken(placement, clusters)), {}
        for share in clusters:
            target = self._target(share)
            if target is None or share.cluster in taken:
                continue
            there = self._caches.assignments.get(name, namespace=target.namespace)
            spec = assignment_spec(
                placement,
                target=target,
                works=works,
                replicas=share.replicas,
                revision=0,
                interpretations=told,
            )
            status = there.status if there is not None else AssignmentStatus()
            found[share.cluster] = Copy(
                wanted=content_of(spec, _digests(works)),
                has=self._content(there),
                applied=status.applied,
                is_available=status.health == Health.HEALTHY and status.traffic_verified != "False",
                turn=tie(placement.origin.uid, share.cluster),
            )
        return found

    async def remove(self, placement: Placement) -> list[str]:
        """Take everything back; namespaces that have something of it still."""
        await self._withdraw(placement, kept=set())
        name = name_of(placement)
        left = {one.metadata.namespace for one in self._caches.given_works(name)}
        left |= {one.metadata.namespace for one in self._caches.given_assignments(name)}
        left |= {one.metadata.namespace for one in self._caches.given_copies(name)}
        return sorted(left)

    async def _assign(
        self,
        placement: Placement,
        target: Target,
        share: PlacedCluster,
        *,
        works: Sequence[PlannedWork],
        contents: Mapping[str, Secret],
    ) -> None:
        name, revision = name_of(placement), placement.status.revision
        wanted = self._bringer.brought(placement).secrets
        secrets = await self._copier.write(placement, wanted, target=target, contents=contents)
        spec = assignment_spec(
            placement,
            target=target,
            works=works,
            replicas=share.replicas,
            revision=revision,
            secrets=secrets,
            interpretations=self._caches.rules.told_of(placement.spec.manifests),
        )
        there = self._caches.assignments.get(name, namespace=target.namespace)
        if there is not None and there.metadata.deletion_timestamp is not None:
            return  # when it is gone, it is made again
        mark = share.rollout
        if there is not None and mark is not None and mark.content != content_of(spec, _digests(works)):
            kept = msgspec.structs.replace(there.spec, replicas=spec.replicas, purge=spec.purge)
            if there.spec != kept:
                body = assignment_body(kept, placement=placement, target=target)
                await self._kube.apply(ASSIGNMENTS, body, field_manager=HUB_MANAGER)
            return
        if there is None or there.spec != spec:
            body = assignment_body(spec, placement=placement, target=target)
            await self._kube.apply(ASSIGNMENTS, body, field_manager=HUB_MANAGER)
        for work in works:
            old = self._caches.works.get(work.name, namespace=target.namespace)
            if not _is_current(old, work, revision=revision):
                body = work_body(work, placement=placement, target=target, revision=revision)
                await self._kube.apply(WORKS, body, field_manager=HUB_MANAGER)
        names = {work.name for work in works}
        for part in self._caches.given_works(name):
            if part.metadata.namespace == target.namespace and part.metadata.name not in names:
                await delete_that(self._kube, WORKS, part)
        await self._copier.withdraw(placement, target=target.namespace, kept=secrets)

    async def _withdraw(self, placement: Placement, *, kept: set[str]) -> None:
        """From clusters that are not `kept`: law 2."""
        name = name_of(placement)
        cluster_in = self._caches.cluster_in
        works = [
            one for one in self._caches.given_works(name) if cluster_in(one.metadata.namespace) not in kept
        ]
        for work in works:
            await delete_that(self._kube, WORKS, work)
        busy = {one.metadata.namespace for one in works}
        for assignment in self._caches.given_assignments(name):
            space = assignment.metadata.namespace
            if cluster_in(space) not in kept and space not in busy:
                await delete_that(self._kube, ASSIGNMENTS, assignment)
            busy.add(space)
        for space in {one.metadata.namespace for one in self._caches.given_copies(name)} - busy:
            if cluster_in(space) not in kept:
                await self._copier.withdraw(placement, target=space, kept=())

    def _planned(self, placement: Placement) -> tuple[PlannedWork, ...]:
        """Made once for a spec: it may be long, and each report of a member asks for it."""
        content = self._bringer.brought(placement).content
        stamp = placement.metadata.uid, placement.metadata.generation, content
        kept = self._works.get(placement.key)
        if kept is None or kept[0] != stamp:
            kept = self._works[placement.key] = stamp, planned_works(placement)
        return kept[1]

    def _content(self, there: Assignment | None) -> str:
        """Of what a member was given, "" where some of it is missing."""
        if there is None or there.metadata.deletion_timestamp is not None:
            return ""
        space, digests = there.metadata.namespace, {}
        for name in there.spec.works:
            work = self._caches.works.get(name, namespace=space)
            if work is None or work.metadata.deletion_timestamp is not None:
                return ""
            digests[name] = work.metadata.annotations.get(ANNOTATION_DIGEST, "")
        return content_of(there.spec, digests)

    def _target(self, share: PlacedCluster) -> Target | None:
        rows = self._caches.target_rows(share.cluster)
        if rows is None:
            return None
        properties = {one.name: one.value for one in rows.registration.status.agent.properties}
        return Target(share.cluster, rows.namespace, properties)

    def _is_taken(self, placement: Placement, target: Target, names: set[str]) -> bool:
        label = name_of(placement)
        there: list[KubernetesObject | None] = [
            self._caches.assignments.get(label, namespace=target.namespace),
            *(self._caches.works.get(name, namespace=target.namespace) for name in names),
        ]
        return any(one is not None and one.metadata.labels.get(LABEL_PLACEMENT) != label for one in there)


def _digests(works: Sequence[PlannedWork]) -> dict[str, str]:
    return {one.name: one.digest for one in works}


def _is_current(there: KubernetesObject | None, work: PlannedWork, *, revision: int) -> bool:
    if there is None:
        return False
    notes = there.metadata.annotations
    is_same = notes.get(ANNOTATION_REVISION) == str(revision) and notes.get(ANNOTATION_DIGEST) == work.digest
    # One that is going is made again when it is gone.
    return is_same or there.metadata.deletion_timestamp is not None
