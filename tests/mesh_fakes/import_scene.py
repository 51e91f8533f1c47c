"""One import in the cluster east over an API server in memory, planned and written without a loop."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from mesh_core.chunks import chunks_of
from mesh_core.import_plan import plan_import
from mesh_core.import_view import Gateways, ImportView, Left, is_open
from mesh_core.layout import wanted_targets
from mesh_core.merge import merge
from mesh_core.names import (
    LABEL_CLUSTER,
    LABEL_ENDPOINT,
    LABEL_KUBERNETES_SERVICE,
    LABEL_SERVICE,
    LABEL_SERVICE_NAME,
    SYSTEM_NAMESPACE,
    shadow_service_name,
)
from mesh_core.objects import Endpoint, EndpointSlice, Service, ServiceImport
from mesh_core.plan import Plan, Rest, as_json
from mesh_core.ports import ClaimTable, Notes, claims_of, grant, rest
from mesh_core.record import ExportRecord, Shard
from mesh_core.slices import is_ours
from mesh_core.stand_ins import stand_in_of
from mesh_fakes.exports import NOW
from mesh_fakes.member_api import MemberApi
from mesh_runtime.kube import ENDPOINT_SLICES, NAMESPACES, SERVICE_IMPORTS, SERVICES

SHADOW = shadow_service_name(namespace="demo", name="hello")


@dataclass(slots=True)
class ImportScene:
    """demo/hello in east. `records` are what peers and east itself export, by cluster; `shards` what peers
    tell of their endpoints. `neighbours` are the clusters on east's network, `withdrawn` those that
    cannot be reached, `most_stand_ins` what a peer may have of stand-ins."""

    api: MemberApi = field(default_factory=lambda: MemberApi(clock=lambda: NOW))
    records: dict[str, ExportRecord] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)
    neighbours: frozenset[str] = frozenset()
    withdrawn: frozenset[str] = frozenset()
    gateways: tuple[str, ...] = ("10.1.0.8", "10.1.0.9")
    gateways_ipv6: tuple[str, ...] = ()
    own_service: Service | None = None
    most_stand_ins: dict[str, int] = field(default_factory=dict)
    shares: dict[str, int] = field(default_factory=dict)
    notes: Notes = field(default_factory=dict)
    rested: list[int] = field(default_factory=list)
    now: datetime = NOW
    reuse_ips: bool = True
    settled: bool = True

    def __post_init__(self) -> None:
        self.api.namespace("demo")
        self.api.namespace(SYSTEM_NAMESPACE)

    @property
    def service_import(self) -> ServiceImport | None:
        return self.api.find(SERVICE_IMPORTS, "hello", namespace="demo")

    @property
    def shadow(self) -> Service | None:
        return self.api.find(SERVICES, SHADOW, namespace="demo")

    @property
    def slices(self) -> list[EndpointSlice]:
        """Our slices."""
        return [piece for piece in self.api.all(ENDPOINT_SLICES) if is_ours(piece)]

    @property
    def stand_ins(self) -> list[Service]:
        """Our stand-in Services."""
        return [service for service in self.api.all(SERVICES) if stand_in_of(service) is not None]

    def room(self, cluster: str) -> int:
        """How many more stand-ins a peer may have, as `mesh_controller.look` counts them."""
        sources = [service.metadata.labels[LABEL_CLUSTER] for service in self.stand_ins]
        return self.most_stand_ins.get(cluster, 512) - sources.count(cluster)

    def view(self) -> ImportView:
        """What a loop would see now, with caches that do not lag."""
        table = ClaimTable()
        for piece in self.api.all(ENDPOINT_SLICES):
            table.change(piece.key, claims=claims_of(piece, cluster="east"))
        view = ImportView(
            cluster="east",
            namespace="demo",
            name="hello",
            home=self.api.find(NAMESPACES, "demo"),
            records=tuple(self.records.values()),
            chunks=tuple(
                chunk
                for piece in self.api.all(ENDPOINT_SLICES)
                if piece.metadata.labels.get(LABEL_KUBERNETES_SERVICE) == "hello" and "east" in self.records
                for chunk in chunks_of(piece)
            ),
            shards=tuple(shard for shard in self.shards if shard.cluster in self.records),
            service_import=self.service_import,
            shadow=self.shadow,
            own_service=self.own_service,
            slices=tuple(piece for piece in self.slices if _belongs(piece)),
            stand_ins=tuple(self.stand_ins),
            room={cluster: self.room(cluster) for cluster in self.records},
            neighbours=self.neighbours,
            withdrawn=self.withdrawn,
            gateways=Gateways(ipv4=self.gateways, ipv6=self.gateways_ipv6),
            ports={},
            contested=frozenset(port for port in table.contested()),
            reuse_ips=self.reuse_ips,
            settled=self.settled,
            shares=self.shares,
        )
        merged = merge(self.records.values())
        if merged is None or not is_open(view.home):
            return view
        targets = wanted_targets(view, merged=merged)
        held = grant(targets, table=table, notes=self.notes, now=self.now.timestamp())
        self.notes = held.notes
        return replace(view, ports=held.ports)

    def plan(self) -> Plan:
        """What a look now leads to."""
        return plan_import(self.view(), now=self.now)

    def write(self, plan: Plan) -> tuple[Left, ...]:
        """Write a plan, note the ports that it frees, and tell what it left."""
        for step in plan:
            if isinstance(step, Rest):
                self.notes = rest(step.ports, notes=self.notes, now=self.now.timestamp())
                self.rested += step.ports
        return self.api.write(plan)

    def has_pods(
        self, *pods: Endpoint, name: str = "hello-abcde", ports: Mapping[str, int] | None = None
    ) -> None:
        """A slice of the Service demo/hello, as the EndpointSlice controller would have it."""
        ports = {"http": 8080} if ports is None else ports
        body = {
            "metadata": {
                "namespace": "demo",
                "name": name,
                "labels": {LABEL_KUBERNETES_SERVICE: "hello"},
            },
            "addressType": "IPv4",
            "ports": [{"name": name, "port": port, "protocol": "TCP"} for name, port in ports.items()],
            "endpoints": as_json(pods),
        }
        self.api.put(ENDPOINT_SLICES, body)

    def settle(self) -> None:
        """Look and write until there is nothing left to write."""
        for _ in range(6):
            plan = self.plan()
            if not plan:
                return
            self.write(plan)
        raise AssertionError(f"never settles: {self.plan()}")


def _belongs(piece: EndpointSlice) -> bool:
    labels = piece.metadata.labels
    return "hello" in (labels.get(LABEL_SERVICE_NAME), labels.get(LABEL_SERVICE))


def by_endpoint(scene: ImportScene) -> dict[str, Service]:
    """Stand-in Services by the endpoint that they stand for."""
    return {service.metadata.labels[LABEL_ENDPOINT]: service for service in scene.stand_ins}


def behind(scene: ImportScene, name: str) -> EndpointSlice:
    """The slice of a stand-in."""
    service = by_endpoint(scene)[name].metadata.name
    (found,) = [s for s in scene.slices if s.metadata.labels.get(LABEL_KUBERNETES_SERVICE) == service]
    return found


def listing(scene: ImportScene) -> list[EndpointSlice]:
    """What the import says in the user's namespace."""
    return [piece for piece in scene.slices if piece.metadata.namespace == "demo"]


def addresses(scene: ImportScene) -> dict[str | None, str]:
    """Those that the import lists, by hostname."""
    return {one.hostname: one.addresses[0] for piece in listing(scene) for one in piece.endpoints or ()}
