"""Looks after registrations that are being deleted: look, think (`decide.leaving_stages`), act.

The registration loop keeps its hands off them meanwhile. What decides is read from the API server itself and
not from a cache: what is removed cannot be brought back, and a cluster leaves once.
"""

from typing import Never

from mesh_placement.decide.leaving_facts import LeaveFacts
from mesh_placement.decide.leaving_stages import plan_leave
from mesh_placement.decide.rights import namespace_of
from mesh_placement.decide.voice import voice_of
from mesh_placement.hub.hearts import Hearts
from mesh_placement.hub.leave_reading import (
    is_isolated,
    read_assignments,
    read_links,
    read_objects,
    read_tombstones,
)
from mesh_placement.hub.leave_writing import take_steps
from mesh_placement.names import ANNOTATION_KEEP_MESH
from mesh_placement.objects import ClusterRegistration
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.clock import Clock
from mesh_runtime.kube import Informer, KubeClient
from mesh_runtime.work import WorkQueue, work


class LeaveLoop:
    """Make it before the cache of `registrations` runs; `run` it for each term of leadership."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        registrations: Informer[ClusterRegistration],
        hearts: Hearts,
        clock: Clock,
    ) -> None:
        self._kube = kube
        self._registrations = registrations
        self._hearts = hearts
        self._clock = clock
        self._queue: WorkQueue[str] | None = None
        registrations.follow(lambda _key, _old, new: self._changed(new))

    async def run(self) -> Never:
        """Work, for ever, or until cancelled because another replica leads."""
        self._queue = WorkQueue()
        for one in self._registrations.values():
            self._changed(one)
        try:
            await work(self._queue, self.look, name="leaving of")
        finally:
            self._queue = None

    async def look(self, cluster: str) -> float | None:
        """One look at one registration; the seconds until the next one. Raises ApiError, Unreachable."""
        registration = await self._kube.find(CLUSTER_REGISTRATIONS, cluster)
        if registration is None or registration.metadata.deletion_timestamp is None:
            return None
        plan = plan_leave(await self._facts(registration))
        if plan is None:
            return None
        await take_steps(self._kube, plan.steps, seen=registration)
        return plan.look_again

    async def _facts(self, registration: ClusterRegistration) -> LeaveFacts:
        keeps = registration.metadata.annotations.get(ANNOTATION_KEEP_MESH) == "true"
        return LeaveFacts(
            registration=registration,
            now=self._clock(),
            objects=await read_objects(self._kube, registration),
            assignments=await read_assignments(self._kube, registration),
            links=await read_links(self._kube, registration),
            voice=voice_of(registration, heart=self._hearts.of(namespace_of(registration))),
            has_mesh=not keeps and not await is_isolated(self._kube, registration),
            is_buried=registration.metadata.uid in (await read_tombstones(self._kube) or {}),
        )

    def _changed(self, registration: ClusterRegistration | None) -> None:
        if registration is None or registration.metadata.deletion_timestamp is None:
            return
        if self._queue is not None:
            self._queue.add(registration.metadata.name)
