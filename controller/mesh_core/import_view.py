"""Everything that decides one import, and what of it is ours to touch.

1. Nothing is made in a namespace that is missing or being deleted.
2. A ServiceImport or Service without our label is somebody's own, whatever its name.
3. A remote cluster is a neighbour when it is on our network: its pods are reached directly. Every other one
   is reached through the local gateways.
4. A withdrawn cluster cannot be reached by the way that its traffic goes (`mesh_core.reach`): everything of
   it stays as it is, but none of its endpoints is ready or serving.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from msgspec import structs

from mesh_core.chunks import Chunk
from mesh_core.merge import MergedImport, merge
from mesh_core.names import (
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SOURCE_CLUSTER,
    MANAGER,
    shadow_service_name,
)
from mesh_core.objects import EndpointSlice, KubernetesObject, Namespace, Service, ServiceImport
from mesh_core.plan import Kind
from mesh_core.ports import PortTarget
from mesh_core.record import ExportRecord, Shard


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateways:
    """Addresses of the ready local gateways, sorted, by family."""

    ipv4: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """The family by which stand-ins reach them: IPv6 only where there is no other."""
        return "IPv4" if self.ipv4 or not self.ipv6 else "IPv6"

    def of(self, address_type: str) -> tuple[str, ...]:
        """Those of one family."""
        return self.ipv6 if address_type == "IPv6" else self.ipv4


# Without slots, for the sake of what is computed once.
@dataclass(frozen=True, kw_only=True)
class ImportView:
    """Everything that decides one import, as the caches show it.

    `cluster` is our own id; `records` those of all clusters, our own among them; `chunks` the endpoints of
    our Service of the same name, if we export it; `shards` those that peers told of. `slices` are ours for
    this import, those of stand-ins and lanes among them; `stand_ins` our stand-in Services of this import;
    `room` is how many more a peer may have. `neighbours` are the clusters on our network, `withdrawn` those
    that cannot be reached. `ports` are the egress ports held; `contested` those of them that another import
    claims too. `reuse_ips` is False when the ClusterIP stated in the ServiceImport can no longer be had.
    `settled` says that the lanes have been wrong for long enough to be changed (`mesh_core.lanes`). `shares`
    bounds the percentage of the mesh that a peer may take, where it is bounded.
    """

    cluster: str
    namespace: str
    name: str
    home: Namespace | None
    records: tuple[ExportRecord, ...]
    chunks: tuple[Chunk, ...] = ()
    shards: tuple[Shard, ...] = ()
    service_import: ServiceImport | None
    shadow: Service | None
    own_service: Service | None = None
    slices: tuple[EndpointSlice, ...]
    stand_ins: tuple[Service, ...] = ()
    room: Mapping[str, int] = field(default_factory=dict)
    neighbours: frozenset[str] = frozenset()
    withdrawn: frozenset[str] = frozenset()
    gateways: Gateways
    ports: Mapping[PortTarget, int]
    contested: frozenset[int]
    reuse_ips: bool = True
    settled: bool = True
    shares: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def merged(self) -> MergedImport | None:
        """The import that the records make; None when nobody exports it."""
        return merge(_reached(record, withdrawn=self.withdrawn) for record in self.records)

    @cached_property
    def reached(self) -> tuple[Shard, ...]:
        """The shards; of withdrawn clusters with no endpoint that is ready or serving."""
        if not self.withdrawn:
            return self.shards
        return tuple(_shut(s) if s.cluster in self.withdrawn else s for s in self.shards)

    @property
    def usable(self) -> frozenset[str]:
        """The clusters whose export we may use; our own always."""
        return frozenset(record.cluster for record in self.records if record.allows(self.cluster))

    @cached_property
    def direct(self) -> frozenset[str]:
        """The neighbours whose pods ours reach themselves: they export to all of this cluster.

        Where an export is for a part of it, somebody must see who calls, and that is the exporter's gateway.
        """
        whole = {record.cluster for record in self.records if record.allows_whole(self.cluster)}
        return self.neighbours & whole

    def slices_from(self, cluster: str) -> tuple[EndpointSlice, ...]:
        """Our slices with endpoints of that cluster."""
        return tuple(s for s in self.slices if s.metadata.labels.get(LABEL_SOURCE_CLUSTER) == cluster)


def _reached(record: ExportRecord, *, withdrawn: frozenset[str]) -> ExportRecord:
    """The record, with nothing ready behind its ports when its cluster is withdrawn."""
    if record.cluster not in withdrawn:
        return record
    return structs.replace(record, ports=tuple(structs.replace(port, ready=0) for port in record.ports))


def _shut(shard: Shard) -> Shard:
    shut = (structs.replace(endpoint, ready=False, serving=False) for endpoint in shard.endpoints)
    return structs.replace(shard, endpoints=tuple(shut))


def is_open(home: Namespace | None) -> bool:
    """Whether objects can be made in this namespace."""
    if home is None:
        return False
    return home.metadata.deletion_timestamp is None and home.status.phase != "Terminating"


def is_ours(seen: KubernetesObject | None) -> bool:
    """Whether a ServiceImport or Service is one that we made."""
    return seen is not None and seen.metadata.labels.get(LABEL_MANAGED_BY) == MANAGER


def stated_ips(view: ImportView) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """IPs and families that the ServiceImport states and a new shadow Service should have; or none.

    We write both in one write, so IPs without as many families are somebody else's words.
    """
    stated = view.service_import.spec if view.service_import is not None and view.reuse_ips else None
    if stated is None or not stated.ips or len(stated.ips) != len(stated.ip_families):
        return (), ()
    return stated.ips, stated.ip_families


def obstacle(*, service_import: ServiceImport | None, shadow: Service | None) -> str:
    """A sentence about somebody's own object in the place of ours, "" when there is none."""
    for kind, seen in (("ServiceImport", service_import), ("Service", shadow)):
        if seen is not None and not is_ours(seen):
            name = f"{seen.metadata.namespace}/{seen.metadata.name}"
            return (
                f"the {kind} {name} was not made by {MANAGER} and stands in the way; "
                "delete it, or export under another name"
            )
    return ""


Left = tuple[Kind, str, str, KubernetesObject | None]
"""What a write left: kind, namespace and name, and the object, None when it is gone."""


def absorbed(view: ImportView, *, left: Iterable[Left]) -> ImportView:
    """The view after writes of our own: the caches will show the same in a moment."""
    slices = {piece.key: piece for piece in view.slices}
    stand_ins = {service.metadata.name: service for service in view.stand_ins}
    shadow, service_import = view.shadow, view.service_import
    before = Counter(_source(service) for service in view.stand_ins)
    for kind, namespace, name, after in left:
        match kind:
            case Kind.SERVICE_IMPORT:
                service_import = after if isinstance(after, ServiceImport) else None
            case Kind.ENDPOINT_SLICE if isinstance(after, EndpointSlice):
                slices[namespace, name] = after
            case Kind.ENDPOINT_SLICE:
                slices.pop((namespace, name), None)
            case Kind.SERVICE if name == shadow_service_name(namespace=view.namespace, name=view.name):
                shadow = after if isinstance(after, Service) else None
            case Kind.SERVICE if isinstance(after, Service):
                stand_ins[name] = after
            case Kind.SERVICE:
                stand_ins.pop(name, None)
            case _:
                pass  # nothing else decides an import
    made = Counter(_source(service) for service in stand_ins.values())
    return replace(
        view,
        service_import=service_import,
        shadow=shadow,
        # What was made of stand-ins has used up room.
        room={cluster: room + before[cluster] - made[cluster] for cluster, room in view.room.items()},
        slices=tuple(slices[key] for key in sorted(slices)),
        stand_ins=tuple(stand_ins[name] for name in sorted(stand_ins)),
    )


def _source(stand_in: Service) -> str:
    return stand_in.metadata.labels.get(LABEL_CLUSTER, "")
