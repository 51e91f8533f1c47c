"""The record of one exported Service: what its ServiceExport, Service and endpoints say to the clusterset."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mesh_core.admission import MOST_READY
from mesh_core.chunks import PROTOCOLS, Chunk, ready_by_port
from mesh_core.names import CLUSTERSET_ZONE, endpoint_label
from mesh_core.objects import Service, ServiceExport, ServicePort
from mesh_core.policy import Policy
from mesh_core.record import ExportRecord, RecordPort

_LONGEST_NAME = 253
_HEADLESS = "None"


@dataclass(frozen=True, slots=True)
class Exporter:
    """Who exports: the cluster id, and where its zones' names mean something (`ExportRecord.zone_scope`)."""

    cluster: str
    zone_scope: str = ""


def is_headless(service: Service) -> bool:
    """Whether the Service has no cluster IP by its own wish."""
    return service.spec.cluster_ip == _HEADLESS


def record_of(
    export: ServiceExport, *, service: Service, chunks: Iterable[Chunk], policy: Policy, exporter: Exporter
) -> ExportRecord:
    """What `exporter` tells of the Service, whose endpoints are `chunks`."""
    affinity = service.spec.session_affinity_config
    client_ip = affinity.client_ip if affinity is not None else None
    return ExportRecord(
        cluster=exporter.cluster,
        namespace=export.metadata.namespace,
        name=export.metadata.name,
        created=export.metadata.creation_timestamp,
        type="Headless" if is_headless(service) else "ClusterSetIP",
        ports=_ports(service.spec.ports, ready=ready_by_port(chunks)),
        session_affinity=service.spec.session_affinity,
        session_affinity_timeout=client_ip.timeout_seconds if client_ip is not None else None,
        internal_traffic_policy=service.spec.internal_traffic_policy,
        traffic_distribution=service.spec.traffic_distribution,
        exported_labels=export.spec.exported_labels,
        exported_annotations=export.spec.exported_annotations,
        ip_families=service.spec.ip_families,
        traffic=policy.traffic.value,
        allow=None if policy.allow is None else tuple(sorted(policy.allow.entries)),
        zone_scope=exporter.zone_scope,
    )


def _ports(ports: Iterable[ServicePort], *, ready: Mapping[str, int]) -> tuple[RecordPort, ...]:
    return tuple(
        RecordPort(
            port=port.port,
            name=port.name,
            protocol="UDP" if port.protocol == "UDP" else "SCTP" if port.protocol == "SCTP" else "TCP",
            app_protocol=port.app_protocol,
            ready=min(ready.get(port.name, 0), MOST_READY),
        )
        for port in ports
        if port.protocol in PROTOCOLS
    )


def longest_endpoint(chunks: Iterable[Chunk]) -> str:
    """The longest name of an endpoint, "" when there is none."""
    names = (
        endpoint_label(hostname=endpoint.hostname, address=endpoint.addresses[0])
        for chunk in chunks
        for endpoint in chunk.endpoints
    )
    return max(names, key=len, default="")


def fits_server_name(*, cluster: str, namespace: str, service: str, endpoint: str) -> bool:
    """Whether one endpoint can be named to a gateway: at most 253 characters with any port (ruling 4)."""
    name = f"65535.{endpoint}.{cluster}.{service}.{namespace}.svc.{CLUSTERSET_ZONE}"
    return len(name) <= _LONGEST_NAME
