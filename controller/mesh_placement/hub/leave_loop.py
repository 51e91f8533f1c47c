"""Looks after registrations that are being deleted: look, think (`decide.leaving_stages`), act.

The registration loop keeps its hands off them meanwhile. Whether the agent is heard is judged by this
process' own clock, from when it saw the Lease change; what it had judged before it was started again stands
in `status.lostSince`.
"""

import asyncio
from dataclasses import dataclass
from typing import Never

from mesh_core.objects import Lease
from mesh_placement.decide.leaving_facts import LeaveFacts, Voice
from mesh_placement.decide.leaving_stages import plan_leave
from mesh_placement.hub.leave_reading import (
    is_isolated,
    read_assignments,
    read_links,
    read_objects,
    read_tombstones,
)
from mesh_placement.hub.leave_writing import take_steps
from mesh_placement.names import ANNOTATION_KEEP_MESH, LEASE, cluster_namespace
from mesh_placement.objects import ClusterRegistration
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.clock import Clock
from mesh_runtime.kube import Informer, KubeClient
from mesh_runtime.work import WorkQueue, work

_GRACE = 2.0
"""Seconds beyond the Lease's own time, for the way of a renewal."""


@dataclass(slots=True)
class _Heard:
    renewed: str
    at: float
    """By the loop's clock; minus infinity where it was silent already when we began."""


class LeaveLoop:
    """Make it before the caches run: it follows `registrations`, and looks into `leases`."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        registrations: Informer[ClusterRegistration],
        leases: Informer[Lease],
        clock: Clock,
    ) -> None:
        self._kube = kube
        self._registrations = registrations
        self._leases = leases
        self._clock = clock
        self._heard: dict[str, _Heard] = {}
        self._queue: WorkQueue[str] = WorkQueue()
        registrations.feed(self._queue, _leaving)

    async def run(self) -> Never:
        """Work, for ever."""
        await self._registrations.synced.wait()
        await self._leases.synced.wait()
        await work(self._queue, self.look, name="leaving of")

    async def look(self, cluster: str) -> float | None:
        """One look at one registration; the seconds until the next one."""
        cached = self._registrations.get(cluster)
        if cached is None or cached.metadata.deletion_timestamp is None:
            self._heard.pop(cluster, None)
            return None
        # The cache may lag behind our own last write, and what is removed cannot be brought back.
        registration = await self._kube.find(CLUSTER_REGISTRATIONS, cluster)
        if registration is None or registration.metadata.deletion_timestamp is None:
            return None
        plan = plan_leave(await self._facts(registration))
        if plan is None:
            return None
        await take_steps(self._kube, plan.steps, seen=registration)
        return plan.look_again

    async def _facts(self, registration: ClusterRegistration) -> LeaveFacts:
        objects = await read_objects(self._kube, registration)
        keeps = registration.metadata.annotations.get(ANNOTATION_KEEP_MESH) == "true"
        return LeaveFacts(
            registration=registration,
            now=self._clock(),
            objects=objects,
            assignments=await read_assignments(self._kube, registration),
            links=await read_links(self._kube, registration),
            voice=self._voice(registration),
            has_mesh=not keeps and not await is_isolated(self._kube, registration),
            is_buried=registration.metadata.uid in (await read_tombstones(self._kube) or {}),
        )

    def _voice(self, registration: ClusterRegistration) -> Voice:
        cluster, status = registration.metadata.name, registration.status
        namespace = status.namespace or cluster_namespace(cluster)
        lease = self._leases.get(LEASE, namespace=namespace)
        renewed = lease.spec.renew_time if lease is not None else None
        if not renewed:
            return Voice.SILENT if status.lost_since or status.agent.agent_version else Voice.NEVER
        now = asyncio.get_running_loop().time()
        heard = self._heard.get(cluster)
        if heard is None:
            heard = self._heard[cluster] = _Heard(renewed, at=float("-inf") if status.lost_since else now)
        elif heard.renewed != renewed:
            heard.renewed, heard.at = renewed, now
        times = registration.spec.lease
        limit = times.duration_seconds * times.missed + _GRACE
        return Voice.HEARD if now - heard.at <= limit else Voice.SILENT


def _leaving(registration: ClusterRegistration) -> tuple[str, ...]:
    meta = registration.metadata
    return (meta.name,) if meta.deletion_timestamp is not None else ()
