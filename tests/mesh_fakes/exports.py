"""Values that tests of exports and imports begin with."""

from datetime import UTC, datetime
from typing import Literal

from msgspec import structs

from mesh_core.names import LABEL_KUBERNETES_SERVICE
from mesh_core.objects import (
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    Meta,
    Service,
    ServiceExport,
    ServicePort,
    ServiceSpec,
)
from mesh_core.record import ExportRecord, RecordPort, Shard, ShardEndpoint, ShardPort

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def record(cluster: str, *ports: RecordPort, created: str = "2026-01-01T00:00:00Z") -> ExportRecord:
    """demo/hello as `cluster` exports it; port http 80 with two ready endpoints unless told otherwise."""
    return ExportRecord(
        cluster=cluster,
        namespace="demo",
        name="hello",
        created=created,
        ports=ports or (RecordPort(port=80, name="http", ready=2),),
        internal_traffic_policy="Cluster",
        ip_families=("IPv4",),
    )


def headless(cluster: str, *ports: RecordPort, created: str = "2026-01-01T00:00:00Z") -> ExportRecord:
    """demo/hello as `cluster` exports it without a cluster IP; port db 5432 unless told otherwise."""
    told = record(cluster, *(ports or (RecordPort(port=5432, name="db", ready=2),)), created=created)
    return structs.replace(told, type="Headless")


def shard(
    cluster: str,
    *endpoints: ShardEndpoint,
    name: str = "aaaaaaaaaa",
    ports: tuple[ShardPort, ...] = (ShardPort(port=15432, name="db"),),
    family: Literal["IPv4", "IPv6"] = "IPv4",
) -> Shard:
    """One slice of the endpoints of demo/hello in `cluster`, as it is told; the pods listen on 15432."""
    return Shard(
        cluster=cluster,
        namespace="demo",
        name="hello",
        shard=name,
        address_type=family,
        ports=ports,
        endpoints=endpoints,
    )


def service_export(**annotations: str) -> ServiceExport:
    """The export demo/hello."""
    meta = Meta(
        name="hello",
        namespace="demo",
        generation=3,
        creation_timestamp="2026-01-01T00:00:00Z",
        annotations=annotations,
    )
    return ServiceExport(metadata=meta)


def service(*ports: ServicePort, **spec: str) -> Service:
    """The Service demo/hello; http 80/TCP unless told otherwise."""
    return Service(
        metadata=Meta(name="hello", namespace="demo"),
        spec=ServiceSpec(
            type=spec.get("type", "ClusterIP"),
            cluster_ip=spec.get("cluster_ip", "10.96.0.5"),
            cluster_ips=("10.96.0.5",),
            ports=ports or (ServicePort(port=80, name="http"),),
            ip_families=("IPv4",),
            internal_traffic_policy="Cluster",
        ),
    )


def endpoint(
    address: str, *, ready: bool | None = True, hostname: str | None = None, zone: str | None = None
) -> Endpoint:
    """An endpoint that is serving and not terminating."""
    return Endpoint(
        addresses=(address,),
        conditions=EndpointConditions(ready=ready, serving=ready, terminating=False),
        hostname=hostname,
        zone=zone,
    )


def source_slice(
    *endpoints: Endpoint,
    name: str = "hello-abcde",
    ports: tuple[EndpointPort, ...] = (EndpointPort(name="http", port=8080),),
    address_type: str = "IPv4",
) -> EndpointSlice:
    """A slice of the Service demo/hello as the EndpointSlice controller writes it."""
    labels = {LABEL_KUBERNETES_SERVICE: "hello"}
    return EndpointSlice(
        metadata=Meta(name=name, namespace="demo", uid=f"uid-{name}", labels=labels),
        address_type=address_type,
        endpoints=endpoints,
        ports=ports,
    )
