"""One import in the cluster east over an API server in memory, planned and written without a loop."""

from dataclasses import dataclass, field
from datetime import datetime

from mesh_core.import_plan import plan_import
from mesh_core.import_view import ImportView
from mesh_core.merge import merge
from mesh_core.names import (
    LABEL_KUBERNETES_SERVICE,
    LABEL_SERVICE_NAME,
    shadow_service_name,
)
from mesh_core.objects import EndpointSlice, Service, ServiceImport
from mesh_core.plan import Plan, Rest
from mesh_core.ports import ClaimTable, Notes, PortTarget, claims_of, grant, rest
from mesh_core.record import ExportRecord
from mesh_core.slices import is_ours, remote_port_names
from mesh_fakes.exports import NOW
from mesh_fakes.member_api import MemberApi
from mesh_runtime.kube import ENDPOINT_SLICES, NAMESPACES, SERVICE_IMPORTS, SERVICES

SHADOW = shadow_service_name(namespace="demo", name="hello")


@dataclass(slots=True)
class ImportScene:
    """demo/hello in east. `records` are what peers and east itself export, by cluster."""

    api: MemberApi = field(default_factory=lambda: MemberApi(clock=lambda: NOW))
    records: dict[str, ExportRecord] = field(default_factory=dict)
    gateways: tuple[str, ...] = ("10.1.0.8", "10.1.0.9")
    notes: Notes = field(default_factory=dict)
    rested: list[int] = field(default_factory=list)
    now: datetime = NOW
    reuse_ips: bool = True

    def __post_init__(self) -> None:
        self.api.namespace("demo")

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

    def view(self) -> ImportView:
        """What a loop would see now, with caches that do not lag."""
        table = ClaimTable()
        for piece in self.api.all(ENDPOINT_SLICES):
            table.change(piece.key, claims=claims_of(piece, cluster="east"))
        merged = merge(self.records.values())
        names = remote_port_names(merged, cluster="east") if merged is not None else ()
        targets = [PortTarget("demo", "hello", name) for name in names]
        held = grant(targets, table=table, notes=self.notes, now=self.now.timestamp())
        self.notes = held.notes
        return ImportView(
            cluster="east",
            namespace="demo",
            name="hello",
            home=self.api.find(NAMESPACES, "demo"),
            records=tuple(self.records.values()),
            service_import=self.service_import,
            shadow=self.shadow,
            source_slices=tuple(
                piece
                for piece in self.api.all(ENDPOINT_SLICES)
                if piece.metadata.labels.get(LABEL_KUBERNETES_SERVICE) == "hello"
            ),
            slices=tuple(
                piece for piece in self.slices if piece.metadata.labels.get(LABEL_SERVICE_NAME) == "hello"
            ),
            gateways=self.gateways,
            ports={target.port_name: port for target, port in held.ports.items()},
            contested=frozenset(port for port in table.contested()),
            reuse_ips=self.reuse_ips,
        )

    def plan(self) -> Plan:
        """What a look now leads to."""
        return plan_import(self.view(), now=self.now)

    def write(self, plan: Plan) -> None:
        """Write a plan, and note the ports that it frees."""
        for step in plan:
            if isinstance(step, Rest):
                self.notes = rest(step.ports, notes=self.notes, now=self.now.timestamp())
                self.rested += step.ports
        self.api.write(plan)

    def settle(self) -> None:
        """Look and write until there is nothing left to write."""
        for _ in range(6):
            plan = self.plan()
            if not plan:
                return
            self.write(plan)
        raise AssertionError(f"never settles: {self.plan()}")
