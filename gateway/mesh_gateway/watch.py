"""The objects that routes are made of, watched."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from mesh_core.membership import Membership
from mesh_core.names import (
    CONTROLLER,
    LABEL_KUBERNETES_SERVICE,
    LABEL_SERVICE_NAME,
    LABEL_SLICE_MANAGED_BY,
    MANAGER,
    PROPERTY_NETWORK,
    SYSTEM_NAMESPACE,
)
from mesh_core.objects import EndpointSlice, MeshPeer, ServiceImport
from mesh_core.ranges import Ranges, ranges_of
from mesh_gateway.route import Address
from mesh_gateway.route_table import Objects
from mesh_gateway.source_watch import SourceBook
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

_API_SERVER = "kubernetes"
"""The Service, in the namespace `default`, in front of the API server."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the ingress may dial beside pods (`external`), and what it never may for a service (`reserved`,
    addresses). `api_server` is where our own answers, for who was granted that."""

    external: Ranges = field(default_factory=Ranges)
    reserved: tuple[str, ...] = ()
    api_server: tuple[Address, ...] = ()


_NOTHING_BESIDE_PODS = Bounds()


class Watches:
    """Caches of all that a table of routes is computed from; run it in a task group."""

    def __init__(
        self, kube: KubeClient, *, membership: MembershipReader, bounds: Bounds = _NOTHING_BESIDE_PODS
    ) -> None:
        self.sources = SourceBook(kube)
        self._membership = membership
        self._bounds = bounds
        self._slices = Informer(kube, ENDPOINT_SLICES, labels=f"{LABEL_SLICE_MANAGED_BY}={MANAGER}")
        self._of_service = self._slices.index(_service_of)
        self._imports = Informer(kube, SERVICE_IMPORTS)
        self._exports = Informer(kube, SERVICE_EXPORTS)
        self._peers = Informer(kube, MESH_PEERS)
        self._controllers = Informer(
            kube,
            ENDPOINT_SLICES,
            namespace=SYSTEM_NAMESPACE,
            labels=f"{LABEL_KUBERNETES_SERVICE}={CONTROLLER}",
        )
        # Routes do not wait for these.
        self._network = Informer(kube, CLUSTER_PROPERTIES, fields=f"metadata.name={PROPERTY_NETWORK}")
        self._api_server = Informer(
            kube,
            ENDPOINT_SLICES,
            namespace="default",
            labels=f"{LABEL_KUBERNETES_SERVICE}={_API_SERVER}",
        )
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
        if membership is None or not self.sources.is_synced:
            return None
        if not all(informer.synced.is_set() for informer in self._informers):
            return None
        return Objects(
            cluster=membership.cluster,
            domain=membership.domain,
            slices=tuple(self._slices.values()),
            imports=tuple(self._imports.values()),
            exports=tuple(self._exports.values()),
            peers=tuple(self._peers.values()),
            controllers=tuple(self._controllers.values()),
            ground=self.sources.ground(external=self._bounds.external, reserved=self._reserved()),
            network=self.network,
            api_server=self._bounds.api_server,
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

    def imported(self, namespace: str, *, name: str) -> ServiceImport | None:
        """The ServiceImport of that name."""
        return self._imports.get(name, namespace=namespace)

    def slices_of(self, namespace: str, *, name: str) -> Sequence[EndpointSlice]:
        """Those of `slices` that are of one service of the clusterset."""
        return self._of_service.get((namespace, name))

    async def run(self, *, changed: Callable[[], None]) -> None:
        """Watch, for ever; `changed` is called whenever `objects` may say something new."""
        for informer in self._informers:
            informer.on_change(changed)
        self._network.on_change(changed)
        self._api_server.on_change(changed)
        self._network.on_change(self._tell_neighbours)
        self._peers.on_change(self._tell_neighbours)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._network.run())
            group.create_task(self._api_server.run())
            group.create_task(self.sources.run(changed=changed))
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

    def _reserved(self) -> tuple[str, ...]:
        """Where the API server answers."""
        behind = (
            address
            for piece in self._api_server.values()
            for endpoint in piece.endpoints or ()
            for address in endpoint.addresses
        )
        return *self._bounds.reserved, *behind

    def _tell_neighbours(self) -> None:
        """Whose pods are certainly not ours."""
        network = self.network
        near = (peer for peer in self.peers() if network and peer.spec.network == network)
        self.sources.neighbours_changed(
            ranges_of(text for peer in near for text in peer.spec.imports.pod_cidrs)
        )


def _service_of(piece: EndpointSlice) -> tuple[tuple[str, str], ...]:
    name = piece.metadata.labels.get(LABEL_SERVICE_NAME)
    return ((piece.metadata.namespace, name),) if name else ()
