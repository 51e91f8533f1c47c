"""Looks after ClusterSets: who may claim into one, where its ClusterProfiles lie (`decide.set_rights`)."""

from typing import Never

from mesh_placement.decide.set_rights import claim_binding_of, set_objects_of
from mesh_placement.hub.caches import HubCaches
from mesh_placement.hub.writing import apply_all
from mesh_placement.names import LABEL_CLUSTERSET
from mesh_placement.resources import CLUSTER_ROLE_BINDINGS
from mesh_runtime.kube import KubeClient
from mesh_runtime.work import WorkQueue, work


class SetLoop:
    """Make it before the caches run; `run` it for each term of leadership."""

    def __init__(self, kube: KubeClient, *, caches: HubCaches) -> None:
        self._kube = kube
        self._sets = caches.sets
        self._queue: WorkQueue[str] | None = None
        caches.sets.follow(lambda key, _old, _new: self._add(key[1]))

    async def run(self) -> Never:
        """Work, for ever, or until cancelled because another replica leads."""
        queue = self._queue = WorkQueue[str]()
        for one in self._sets.values():
            queue.add(one.metadata.name)
        try:
            await self._sweep()
            await work(queue, self._reconcile, name="ClusterSet")
        finally:
            self._queue = None

    async def _reconcile(self, name: str) -> None:
        found = self._sets.get(name)
        if found is not None and found.metadata.deletion_timestamp is None:
            await apply_all(self._kube, set_objects_of(found))
        else:
            await self._kube.delete(CLUSTER_ROLE_BINDINGS, claim_binding_of(name))

    async def _sweep(self) -> None:
        """Sets that were deleted while nobody looked."""
        page = await self._kube.list(CLUSTER_ROLE_BINDINGS, labels=LABEL_CLUSTERSET)
        for binding in page.items:
            name = binding.metadata.labels.get(LABEL_CLUSTERSET, "")
            if binding.metadata.name == claim_binding_of(name) and self._sets.get(name) is None:
                self._add(name)

    def _add(self, name: str) -> None:
        if self._queue is not None:
            self._queue.add(name)
