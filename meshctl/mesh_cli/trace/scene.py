"""What was seen along a call's way: in the cluster that calls, and in each that exports. Values. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mesh_cli.check.verdict import Unseen
from mesh_cli.dns.way import Way
from mesh_core.names import (
    ANNOTATION_READY_ENDPOINTS,
    LABEL_KUBERNETES_SERVICE,
    LABEL_SOURCE_CLUSTER,
    shadow_service_name,
)
from mesh_core.objects import (
    EndpointSlice,
    MeshPeer,
    Namespace,
    ProbeResult,
    Service,
    ServiceExport,
    ServiceImport,
)

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class PodState:
    """A pod: its first address, whether it is ready, and since when it is there (RFC 3339)."""

    name: str
    address: str
    is_ready: bool
    since: str = ""


@dataclass(frozen=True, slots=True)
class Knocked:
    """What a TCP connection came to: `error` is "" where it was taken, `ended` where it was ended at once."""

    error: str = ""
    ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """The cluster that calls. `cluster` is its id. `records` are the clusters whose record of the Service has
    arrived; `probes` what each of our gateways found of each exporter; `knocks` connections to gateways'
    egress ports, `call` the one to the name's own address. `caller` says from which pod those were made.
    """

    context: str
    cluster: str
    dns: Way | Unseen
    imported: ServiceImport | Unseen | None
    namespace: Namespace | Unseen | None
    shadow: Service | Unseen | None
    slices: tuple[EndpointSlice, ...] | Unseen
    gateways: tuple[PodState, ...] | Unseen
    peers: Mapping[str, MeshPeer] | Unseen
    records: Mapping[str, str] | Unseen
    knocks: Mapping[Address, Knocked] | Unseen
    probes: Mapping[str, tuple[ProbeResult, ...]] | Unseen
    call: Knocked | Unseen
    caller: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporter:
    """A cluster that exports, or should. `slices` are those of its own endpoints behind its own import."""

    context: str
    cluster: str
    export: ServiceExport | Unseen | None
    service: Service | Unseen | None
    slices: tuple[EndpointSlice, ...] | Unseen
    pods: tuple[PodState, ...] | Unseen
    gateways: tuple[PodState, ...] | Unseen


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything; `exporters` by cluster id, those that were asked for; `deaf` who did not answer and why."""

    namespace: str
    name: str
    importer: Importer
    exporters: Mapping[str, Exporter] = field(default_factory=dict)
    deaf: tuple[tuple[str, str], ...] = ()

    @property
    def behind(self) -> tuple[EndpointSlice, ...] | Unseen:
        """The slices that kube-proxy uses."""
        slices = self.importer.slices
        if isinstance(slices, Unseen):
            return slices
        shadow = shadow_service_name(namespace=self.namespace, name=self.name)
        return tuple(one for one in slices if one.metadata.labels.get(LABEL_KUBERNETES_SERVICE) == shadow)

    @property
    def sources(self) -> tuple[str, ...]:
        """Who exports, by the import; without it nobody."""
        imported = self.importer.imported
        if isinstance(imported, Unseen) or imported is None:
            return ()
        return tuple(sorted(one.cluster for one in imported.status.clusters))

    def slices_of(self, cluster: str) -> tuple[EndpointSlice, ...]:
        """The importer's slices with endpoints of that cluster, those that are set aside too."""
        slices = self.importer.slices
        found = () if isinstance(slices, Unseen) else slices
        return tuple(one for one in found if one.metadata.labels.get(LABEL_SOURCE_CLUSTER) == cluster)

    def is_direct(self, cluster: str) -> bool:
        """Whether pods of that cluster are reached without gateways."""
        found = self.slices_of(cluster)
        return bool(found) and not any(
            ANNOTATION_READY_ENDPOINTS in one.metadata.annotations for one in found
        )


def egress_addresses(slices: tuple[EndpointSlice, ...]) -> tuple[Address, ...]:
    """Where gateways should listen: each address with each TCP port of slices that lead to gateways."""
    found = {
        (endpoint.addresses[0], port.port)
        for piece in slices
        if ANNOTATION_READY_ENDPOINTS in piece.metadata.annotations
        for endpoint in piece.endpoints or ()
        for port in piece.ports or ()
        if port.port is not None and port.protocol == "TCP" and endpoint.addresses and endpoint.is_ready
    }
    return tuple(sorted(found))


def ready_count(slices: tuple[EndpointSlice, ...]) -> tuple[int, int]:
    """(ready, all) endpoints, each address once."""
    states: dict[str, bool] = {}
    for piece in slices:
        for endpoint in piece.endpoints or ():
            address = endpoint.addresses[0] if endpoint.addresses else ""
            states[address] = states.get(address, False) or endpoint.is_ready
    return sum(states.values()), len(states)
