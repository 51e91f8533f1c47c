"""multicluster.x-k8s.io/v1beta1 ServiceExport and ServiceImport (KEP-1645)."""

from msgspec import Struct, field

from mesh_core.objects.meta import Condition, KubernetesObject
from mesh_core.objects.service import SessionAffinityConfig


class ExportSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """ServiceExportSpec."""

    exported_labels: dict[str, str] = field(default_factory=dict)
    exported_annotations: dict[str, str] = field(default_factory=dict)


class ExportStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """ServiceExportStatus."""

    conditions: tuple[Condition, ...] = ()


class ServiceExport(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """ServiceExport: the wish that the Service of the same name be reachable in the clusterset."""

    spec: ExportSpec = ExportSpec()
    status: ExportStatus = ExportStatus()


class ImportPort(Struct, frozen=True, rename="camel", kw_only=True):
    """ServicePort of an import: no targetPort, no nodePort."""

    port: int
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None


class ImportSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """ServiceImportSpec."""

    type: str = "ClusterSetIP"
    ports: tuple[ImportPort, ...] = ()
    ips: tuple[str, ...] = ()
    ip_families: tuple[str, ...] = ()
    session_affinity: str | None = None
    session_affinity_config: SessionAffinityConfig | None = None
    internal_traffic_policy: str | None = None
    traffic_distribution: str | None = None


class ImportCluster(Struct, frozen=True, rename="camel", kw_only=True):
    """One entry of status.clusters."""

    cluster: str


class ImportStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """ServiceImportStatus; `endpoint_slice_objects` is Present or Absent since mcs-api v0.5.1."""

    clusters: tuple[ImportCluster, ...] = ()
    conditions: tuple[Condition, ...] = ()
    endpoint_slice_objects: str | None = None


class ServiceImport(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """ServiceImport: a Service of the clusterset as seen from this cluster."""

    spec: ImportSpec = ImportSpec()
    status: ImportStatus = ImportStatus()
