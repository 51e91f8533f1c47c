"""Brings clusters of Cluster API in: look, think (`decide.importing`), act. The hub dials in to them as to
any other whose kubeconfig it was given (`hub.dial_in`).

Where the hub's cluster does not serve Cluster API, nothing is watched; whether it does by now is asked again
and again, since nobody is told of new kinds.
"""

import asyncio
from typing import Final, Never

import msgspec

from mesh_placement.decide.handing_over import join_secret, provided_registration
from mesh_placement.decide.importing import (
    PROVIDER,
    Import,
    import_of,
    kubeconfig_in,
    kubeconfig_name,
    set_of,
)
from mesh_placement.hub.caches import HubCaches
from mesh_placement.hub.writing import delete_that
from mesh_placement.names import ANNOTATION_SOURCE, HUB_MANAGER
from mesh_placement.objects import Provisioned
from mesh_placement.objects.cluster_api import ApiCluster
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.kube import SECRETS, ApiError, Informer, KubeClient, Resource, Unreachable
from mesh_runtime.log import logger
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)
GROUP: Final = "cluster.x-k8s.io"
_ASK_AGAIN: Final = 300.0
_NO_KUBECONFIG: Final = 15.0
"""Seconds until a kubeconfig that is not there yet is looked for again: Secrets of others are not watched."""
_Key = tuple[str, str]


class _Version(msgspec.Struct, frozen=True):
    version: str = ""


class _Group(msgspec.Struct, frozen=True, rename="camel"):
    preferred_version: _Version = _Version()


class ImportLoop:
    """Make it before the caches run; `run` it for each term of leadership."""

    def __init__(self, kube: KubeClient, *, caches: HubCaches, ask_again: float = _ASK_AGAIN) -> None:
        self._kube = kube
        self._caches = caches
        self._ask_again = ask_again
        self._queue: WorkQueue[_Key] | None = None
        self._seen: Informer[ApiCluster] | None = None
        caches.sets.on_change(self._all)
        caches.registrations.follow(lambda key, _old, _new: self._named(key[1]))

    async def run(self) -> Never:
        """Work, for ever, or until cancelled because another replica leads."""
        while True:
            version = await self._served()
            if version:
                await self._import(version)
            await asyncio.sleep(self._ask_again)

    async def _served(self) -> str:
        """The version of Cluster API that the API server prefers, "" where it has none."""
        try:
            raw = await self._kube.request("GET", f"/apis/{GROUP}")
            return msgspec.json.decode(raw, type=_Group).preferred_version.version
        except (ApiError, Unreachable, msgspec.DecodeError):
            return ""

    async def _import(self, version: str) -> Never:
        seen = Informer(self._kube, Resource(GROUP, version, "clusters", "Cluster", ApiCluster))
        queue = self._queue = WorkQueue[_Key]()
        self._seen = seen
        seen.follow(lambda key, _old, _new: queue.add(key))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(seen.run())
                group.create_task(work(queue, self._reconcile, name="import of"))
        finally:
            self._queue = self._seen = None
        raise AssertionError("a watch cache ended by itself")

    async def _reconcile(self, key: _Key) -> float | None:
        cluster = self._seen.get(key[1], namespace=key[0]) if self._seen is not None else None
        if cluster is None:
            return None
        sets = {one.metadata.name: one for one in self._caches.sets.values()}
        name = cluster.metadata.name
        # Read, because the watch may not have shown yet what we, or somebody else, wrote a moment ago.
        registration = await self._kube.find(CLUSTER_REGISTRATIONS, name)
        match import_of(cluster, sets=sets, registration=registration):
            case Import.REGISTER:
                return await self._register(cluster)
            case Import.SEND_AWAY if registration is not None:
                _log.info("an imported cluster leaves", cluster=name)
                await delete_that(self._kube, CLUSTER_REGISTRATIONS, registration)
        return None

    async def _register(self, cluster: ApiCluster) -> float | None:
        meta = cluster.metadata
        secret = await self._kube.find(SECRETS, kubeconfig_name(cluster), namespace=meta.namespace)
        kubeconfig = kubeconfig_in(secret)
        if not kubeconfig:
            return _NO_KUBECONFIG
        if not await self._hand_over(cluster, kubeconfig=kubeconfig):
            return _NO_KUBECONFIG
        came = Provisioned(provider=PROVIDER, claim_uid=meta.uid)
        body = provided_registration(meta.name, cluster_set=set_of(cluster), driver="csr", provision=came)
        try:
            # Created, never applied: one that somebody made meanwhile is not ours.
            await self._kube.create(CLUSTER_REGISTRATIONS, body, field_manager=HUB_MANAGER)
        except ApiError as error:
            if not error.is_conflict:
                raise
            return None
        _log.info("a cluster is imported", cluster=meta.name, namespace=meta.namespace)
        return None

    async def _hand_over(self, cluster: ApiCluster, *, kubeconfig: str) -> bool:
        """Give the hub the kubeconfig, where nobody has given it another one for a cluster of that name."""
        meta = cluster.metadata
        handed = join_secret(meta.name, kubeconfig=kubeconfig, access=False)
        handed["metadata"]["annotations"] = {ANNOTATION_SOURCE: meta.uid}
        place = handed["metadata"]["name"], handed["metadata"]["namespace"]
        there = await self._kube.find(SECRETS, place[0], namespace=place[1])
        if there is not None and there.metadata.annotations.get(ANNOTATION_SOURCE) != meta.uid:
            _log.warning("a cluster is not imported: somebody registers another one", cluster=meta.name)
            return False
        if there is not None:
            await self._kube.apply(SECRETS, handed, field_manager=HUB_MANAGER)
            return True
        try:
            await self._kube.create(SECRETS, handed, field_manager=HUB_MANAGER)
        except ApiError as error:
            if not error.is_conflict:
                raise
            return False
        return True

    def _all(self) -> None:
        if self._queue is not None and self._seen is not None:
            for one in self._seen.values():
                self._queue.add(one.key)

    def _named(self, name: str) -> None:
        if self._queue is not None and self._seen is not None:
            for one in self._seen.values():
                if one.metadata.name == name:
                    self._queue.add(one.key)
