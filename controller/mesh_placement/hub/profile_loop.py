"""Writes the ClusterProfile of each member (`decide.profile`), at most once in `PAUSE` seconds.

Foreign tools watch profiles of all clusters; one that changes often would keep all of them busy.
A set that names another `profileNamespace` takes its profiles along: those in the old one go, and with them
their agents' rights to read there.
"""

import asyncio
from typing import Final, Never

import msgspec

from mesh_core.conditions import as_json
from mesh_core.plan import Json
from mesh_placement.decide.phase import is_joined
from mesh_placement.decide.profile import elsewhere, profile_labels, profile_spec, profile_status
from mesh_placement.decide.set_rights import profile_namespace_of
from mesh_placement.hub.caches import HubCaches
from mesh_placement.names import HUB_MANAGER, agent_role
from mesh_placement.objects import ClusterProfileStatus
from mesh_placement.resources import CLUSTER_PROFILES, ROLE_BINDINGS
from mesh_runtime.clock import Clock
from mesh_runtime.kube import KubeClient
from mesh_runtime.work import WorkQueue, work

PAUSE: Final = 30.0


class ProfileLoop:
    """Make it before the caches run; `run` it for each term of leadership."""

    def __init__(self, kube: KubeClient, *, caches: HubCaches, clock: Clock) -> None:
        self._kube = kube
        self._caches = caches
        self._clock = clock
        self._queue: WorkQueue[str] | None = None
        self._written: dict[str, float] = {}
        caches.registrations.follow(lambda key, _old, _new: self._add(key[1]))
        caches.profiles.follow(lambda key, _old, _new: self._add(key[1]))
        caches.sets.on_change(self._add_all)
        caches.info.on_change(self._add_all)

    async def run(self) -> Never:
        """Work, for ever, or until cancelled because another replica leads."""
        self._queue = WorkQueue[str]()
        self._add_all()
        try:
            await work(self._queue, self._reconcile, name="ClusterProfile")
        finally:
            self._queue = None

    async def _reconcile(self, cluster: str) -> float | None:
        registration = self._caches.registrations.get(cluster)
        if registration is None or registration.metadata.deletion_timestamp is not None:
            # What leaves is taken away by the leave loop.
            self._written.pop(cluster, None)
            return None
        cluster_set = self._caches.sets.get(registration.spec.cluster_set)
        if cluster_set is None or not is_joined(registration.status):
            return None
        namespace = profile_namespace_of(cluster_set)
        await self._drop_others(cluster, beside=namespace)
        before = self._caches.profiles.get(cluster, namespace=namespace)
        status = profile_status(registration, before=before, hub=self._caches.address(), now=self._clock())
        if before is not None and before.status == status:
            return None
        now = asyncio.get_running_loop().time()
        wait = self._written.get(cluster, now - PAUSE) + PAUSE - now
        if before is not None and wait > 0:
            return wait
        meta = {"name": cluster, "namespace": namespace}
        if before is None:
            spec = msgspec.to_builtins(profile_spec(registration))
            body = {"metadata": {**meta, "labels": profile_labels(registration)}, "spec": spec}
            await self._kube.apply(CLUSTER_PROFILES, body, field_manager=HUB_MANAGER)
        body = {"metadata": meta, "status": _as_json(status)}
        await self._kube.apply(CLUSTER_PROFILES, body, field_manager=HUB_MANAGER, subresource="status")
        self._written[cluster] = now
        return None

    async def _drop_others(self, cluster: str, *, beside: str) -> None:
        """The right first: cut off in between, the profile leads here again."""
        for namespace, name in elsewhere(self._caches.profiles.values(), cluster=cluster, beside=beside):
            await self._kube.delete(ROLE_BINDINGS, agent_role(cluster), namespace=namespace)
            await self._kube.delete(CLUSTER_PROFILES, name, namespace=namespace)

    def _add_all(self) -> None:
        for registration in self._caches.registrations.values():
            self._add(registration.metadata.name)

    def _add(self, cluster: str) -> None:
        if self._queue is not None:
            self._queue.add(cluster)


def _as_json(status: ClusterProfileStatus) -> Json:
    body: Json = msgspec.to_builtins(status)
    body["conditions"] = [as_json(one) for one in status.conditions]
    return body
