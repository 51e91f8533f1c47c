"""Tells the hub of the ways to peers, of our exports, and of handshakes that it wants: ClusterLink `links`,
from MeshPeers, slices and ServiceProbes.

Without the mesh there is nothing to tell. Slices are watched only while the member serves ServiceExports.
"""

import asyncio
from typing import Never

from msgspec.structs import replace

from mesh_core.names import GATEWAY, LABEL_KUBERNETES_SERVICE, SYSTEM_NAMESPACE
from mesh_core.objects import EndpointSlice
from mesh_placement.agent.kinds import OptionalCache, all_synced
from mesh_placement.agent.session import Session
from mesh_placement.agent.telling import Teller, Told
from mesh_placement.agent.verifying import Verifying
from mesh_placement.decide.links import (
    GATHER,
    ServiceKey,
    link_status,
    ready_endpoints,
    ready_gateways,
    seconds_until_write,
)
from mesh_placement.names import LINKS
from mesh_placement.objects import ClusterLink, ClusterLinkStatus
from mesh_placement.resources import CLUSTER_LINKS
from mesh_runtime.kube import ENDPOINT_SLICES, MESH_PEERS, SERVICE_EXPORTS, Informer


async def links_part(session: Session) -> None:
    """The part of a session."""
    await LinksLoop(session).run()


class LinksLoop:
    """Writes what is to be told of the session's member."""

    def __init__(self, session: Session) -> None:
        self._session = session
        member, kinds = session.member, session.kinds
        told = Told(
            resource=CLUSTER_LINKS, name=LINKS, namespace=session.namespace, status=lambda one: one.status
        )
        self._teller: Teller[ClusterLink, ClusterLinkStatus] = Teller(
            session.hub, told, look=self._look, due=seconds_until_write, gather=GATHER
        )
        tell = self._teller.changed
        self._peers = OptionalCache(member, MESH_PEERS, kinds=kinds, changed=tell)
        self._exports = OptionalCache(member, SERVICE_EXPORTS, kinds=kinds, changed=tell)
        self._slices = Informer(member, ENDPOINT_SLICES)
        self._slices.on_change(tell)
        self._of_service = self._slices.index(_service_of)
        self._verifying = Verifying(session, changed=tell)

    async def run(self) -> None:
        """Watch and write, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._peers.run())
            group.create_task(self._exports.run())
            group.create_task(self._watch_slices())
            group.create_task(self._verifying.run())
            group.create_task(self._tell())

    async def _watch_slices(self) -> Never:
        kinds = self._session.kinds
        await kinds.until(lambda: kinds.has(SERVICE_EXPORTS))
        await self._slices.run()

    async def _tell(self) -> None:
        await all_synced((self._peers.synced, self._exports.synced, self._verifying.synced))
        if self._session.kinds.has(SERVICE_EXPORTS):
            await self._slices.synced.wait()
        await self._teller.run()

    async def _look(self) -> ClusterLinkStatus:
        exports = self._exports.values()
        ready = {one.key: ready_endpoints(self._of_service.get(one.key)) for one in exports}
        gateways = ready_gateways(self._of_service.get((SYSTEM_NAMESPACE, GATEWAY)))
        status = link_status(self._peers.values(), exports=exports, ready=ready, gateways=gateways)
        return replace(status, handshakes=self._verifying.found(gateways=gateways, ready=ready))


def _service_of(one: EndpointSlice) -> tuple[ServiceKey, ...]:
    name = one.metadata.labels.get(LABEL_KUBERNETES_SERVICE)
    return ((one.metadata.namespace, name),) if name else ()
