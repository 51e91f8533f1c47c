"""The objects that routes are made of, watched."""

import asyncio
from collections.abc import Callable, Iterable

from mesh_core.membership import Membership
from mesh_core.names import (
    CONTROLLER,
    LABEL_KUBERNETES_SERVICE,
    LABEL_SLICE_MANAGED_BY,
    MANAGER,
    PROPERTY_NETWORK,
    SYSTEM_NAMESPACE,
)
from mesh_core.objects import EndpointSlice, MeshPeer
from mesh_gateway.route_table import Objects
from mesh_runtime.kube import (
    CLUSTER_PROPERTIES,
    ENDPOINT_SLICES,
    MESH_PEERS,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    Informer,
    KubeClient,
)
from mesh_runtime.membership import MembershipReader


class Watches:
    """Caches of all that a table of routes is computed from; run it in a task group."""

    def __init__(self, kube: KubeClient, *, membership: MembershipReader) -> None:
        self._membership = membership
        self._slices = Informer(kube, ENDPOINT_SLICES, labels=f"{LABEL_SLICE_MANAGED_BY}={MANAGER}")
        self._imports = Informer(kube, SERVICE_IMPORTS)
        self._exports = Informer(kube, SERVICE_EXPORTS)
        self._peers = Informer(kube, MESH_PEERS)
        self._controllers = Informer(
            kube,
            ENDPOINT_SLICES,
            namespace=SYSTEM_NAMESPACE,
            labels=f"{LABEL_KUBERNETES_SERVICE}={CONTROLLER}",
        )
        # Routes do not ask for it, and do not wait for it.
        self._network = Informer(kube, CLUSTER_PROPERTIES, fields=f"metadata.name={PROPERTY_NETWORK}")
        self._informers = (
            self._slices,
            self._imports,
            self._exports,
            self._peers,
            self._controllers,
        )

    def objects(self) -> Objects | None:
        """What the caches hold; None until each was filled once and the cluster is a member."""
        membership = self._membership.current
        if membership is None or not all(informer.synced.is_set() for informer in self._informers):
            return None
        return Objects(
            cluster=membership.cluster,
            domain=membership.domain,
            slices=tuple(self._slices.values()),
            imports=tuple(self._imports.values()),
            exports=tuple(self._exports.values()),
            peers=tuple(self._peers.values()),
            controllers=tuple(self._controllers.values()),
        )

    @property
    def network(self) -> str:
        """The network that this cluster shares with others, "" for none."""
        found = self._network.get(PROPERTY_NETWORK)
        return found.spec.value if found is not None else ""

    def peers(self) -> Iterable[MeshPeer]:
        """All peers."""
        return self._peers.values()

    def slices(self) -> Iterable[EndpointSlice]:
        """Those that our controller manages."""
        return self._slices.values()

    async def run(self, *, changed: Callable[[], None]) -> None:
        """Watch, for ever; `changed` is called whenever `objects` may say something new."""
        for informer in self._informers:
            informer.on_change(changed)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._network.run())
            for informer in self._informers:
                group.create_task(informer.run())
            for informer in self._informers:
                await informer.synced.wait()
            # An empty list is no change, yet it is an answer.
            changed()
            membership: Membership | None = None
            while True:
                membership = await self._membership.after(membership)
                changed()
