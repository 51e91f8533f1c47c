"""Tells the hub of the ways to peers and of our exports: ClusterLink `links`, from MeshPeers and slices.

Without the mesh there is nothing to tell. Slices are watched only while the member serves ServiceExports.
"""

import asyncio
import random
from contextlib import suppress
from typing import Never

import msgspec

from mesh_core.errors import MeshError
from mesh_core.lifetimes import retry_delay
from mesh_core.names import LABEL_KUBERNETES_SERVICE
from mesh_core.objects import EndpointSlice
from mesh_placement.agent.kinds import OptionalCache, all_synced
from mesh_placement.agent.session import Session
from mesh_placement.decide.links import GATHER, ServiceKey, link_status, ready_endpoints, seconds_until_write
from mesh_placement.names import AGENT_MANAGER, LINKS
from mesh_placement.objects import ClusterLinkStatus
from mesh_placement.resources import CLUSTER_LINKS
from mesh_runtime.kube import ENDPOINT_SLICES, MESH_PEERS, SERVICE_EXPORTS, ApiError, Informer
from mesh_runtime.log import logger

_log = logger(__name__)


async def links_part(session: Session) -> None:
    """The part of a session."""
    await LinksLoop(session).run()


class LinksLoop:
    """Writes what is to be told of the session's member."""

    def __init__(self, session: Session) -> None:
        self._session = session
        member, kinds = session.member, session.kinds
        self._changed = asyncio.Event()
        tell = self._changed.set
        self._peers = OptionalCache(member, MESH_PEERS, kinds=kinds, changed=tell)
        self._exports = OptionalCache(member, SERVICE_EXPORTS, kinds=kinds, changed=tell)
        self._slices = Informer(member, ENDPOINT_SLICES)
        self._slices.on_change(tell)
        self._of_service = self._slices.index(_service_of)
        self._seen: ClusterLinkStatus | None = None
        self._written: float | None = None

    async def run(self) -> None:
        """Watch and write, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._peers.run())
            group.create_task(self._exports.run())
            group.create_task(self._watch_slices())
            group.create_task(self._write())

    async def _watch_slices(self) -> Never:
        kinds = self._session.kinds
        await kinds.until(lambda: kinds.has(SERVICE_EXPORTS))
        await self._slices.run()

    async def _write(self) -> Never:
        await all_synced((self._peers.synced, self._exports.synced))
        if self._session.kinds.has(SERVICE_EXPORTS):
            await self._slices.synced.wait()
        failures = 0
        while True:
            self._changed.clear()
            try:
                wait = await self._step()
                failures = 0
            except MeshError as error:
                wait = retry_delay(failures, jitter=random.random())
                failures += 1
                _log.warning("the links are not written", why=error.what, again_in=round(wait, 1))
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()
                    await asyncio.sleep(GATHER)

    async def _step(self) -> float | None:
        """One look; seconds until the next one, None when only a change makes one due."""
        hub, namespace = self._session.hub, self._session.namespace
        if self._seen is None:
            self._seen = await self._there()
        exports = self._exports.values()
        ready = {one.key: ready_endpoints(self._of_service.get(one.key)) for one in exports}
        wanted = link_status(self._peers.values(), exports=exports, ready=ready)
        now = asyncio.get_running_loop().time()
        since = None if self._written is None else now - self._written
        wait = seconds_until_write(self._seen, wanted, since_last=since)
        if wait is None or wait > 0:
            return wait
        body = {
            "metadata": {"name": LINKS, "namespace": namespace},
            "status": msgspec.to_builtins(wanted),
        }
        await hub.apply(CLUSTER_LINKS, body, field_manager=AGENT_MANAGER, subresource="status")
        self._seen, self._written = wanted, now
        return None

    async def _there(self) -> ClusterLinkStatus | None:
        """What the hub has, once a session: nobody else writes it."""
        try:
            found = await self._session.hub.get(CLUSTER_LINKS, LINKS, namespace=self._session.namespace)
        except ApiError as error:
            if error.is_not_found:
                return None
            raise
        return found.status


def _service_of(one: EndpointSlice) -> tuple[ServiceKey, ...]:
    name = one.metadata.labels.get(LABEL_KUBERNETES_SERVICE)
    return ((one.metadata.namespace, name),) if name else ()
