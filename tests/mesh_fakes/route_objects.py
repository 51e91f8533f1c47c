"""Objects of a cluster as our controller writes them, for tables of routes; the cluster is west."""

import json
from collections.abc import Mapping, Sequence

from mesh_core.identity import cluster_id, domain
from mesh_core.names import (
    ANNOTATION_READY_ENDPOINTS,
    ANNOTATION_TARGET_PORTS,
    LABEL_CLUSTER,
    LABEL_ENDPOINT,
    LABEL_KUBERNETES_SERVICE,
    LABEL_LANE,
    LABEL_NAMESPACE,
    LABEL_SERVICE,
    LABEL_SERVICE_NAME,
    LABEL_SLICE_MANAGED_BY,
    LABEL_SOURCE_CLUSTER,
    MANAGER,
    SYSTEM_NAMESPACE,
    shadow_service_name,
    stand_in_name,
)
from mesh_core.objects import (
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    ImportPort,
    ImportSpec,
    MeshPeer,
    MeshPeerSpec,
    Meta,
    PeerGateway,
    ServiceExport,
    ServiceImport,
)
from mesh_gateway.route import RouteTable, ServicePort
from mesh_gateway.route_table import Objects, route_table

OWN = cluster_id("west")
EAST, NORTH = cluster_id("east"), cluster_id("north")
HELLO = ServicePort("demo", "hello", 80)


def endpoints(*addresses: str, ready: bool | None = True) -> tuple[Endpoint, ...]:
    conditions = EndpointConditions(ready=ready, serving=ready)
    return tuple(Endpoint(addresses=(address,), conditions=conditions) for address in addresses)


def remote(
    source: str,
    *,
    service: str = "hello",
    port: int = 20000,
    name: str | None = "http",
    ready: Mapping[str, int] | str | None = None,
    listed: tuple[Endpoint, ...] | None = None,
    created: str = "2026-01-01T00:00:00Z",
    protocol: str = "TCP",
) -> EndpointSlice:
    """A slice for another cluster's endpoints: our gateways, and how many there are there."""
    counts = {name or "": 1} if ready is None else ready
    text = counts if isinstance(counts, str) else json.dumps(counts)
    return EndpointSlice(
        metadata=Meta(
            name=f"{service}-{source}",
            namespace="demo",
            uid=f"uid-{service}-{source}",
            creation_timestamp=created,
            labels={
                LABEL_SLICE_MANAGED_BY: MANAGER,
                LABEL_SERVICE_NAME: service,
                LABEL_SOURCE_CLUSTER: source,
            },
            annotations={ANNOTATION_READY_ENDPOINTS: text},
        ),
        endpoints=endpoints("10.0.0.2") if listed is None else listed,
        ports=(EndpointPort(name=name, port=port, protocol=protocol),),
    )


def lane(
    number: int, *, service: str = "hello", port: int, created: str = "2026-01-01T00:00:00Z"
) -> EndpointSlice:
    """A slice that only gives kube-proxy one more way to our gateways."""
    return EndpointSlice(
        metadata=Meta(
            name=f"{service}.{number}.lane",
            namespace="demo",
            uid=f"uid-{service}-lane-{number}",
            creation_timestamp=created,
            labels={
                LABEL_SLICE_MANAGED_BY: MANAGER,
                LABEL_KUBERNETES_SERVICE: shadow_service_name(namespace="demo", name=service),
                LABEL_SERVICE: service,
                LABEL_LANE: str(number),
            },
        ),
        endpoints=endpoints("10.0.0.2"),
        ports=(EndpointPort(name="http", port=port),),
    )


def stand_in(
    endpoint: str,
    *,
    source: str = "east",
    port: int = 21000,
    own_ports: Mapping[str, int] | str | None = None,
    ready: bool = True,
    listed: tuple[Endpoint, ...] | None = None,
    created: str = "2026-01-01T00:00:00Z",
    uid: str = "",
    namespace: str = SYSTEM_NAMESPACE,
    protocol: str = "TCP",
) -> EndpointSlice:
    """The slice of a stand-in for an endpoint of the headless import `demo/db`, whose port is `tcp`."""
    name = stand_in_name(cluster=source, namespace="demo", service="db", endpoint=endpoint)
    numbers = {"tcp": 5432} if own_ports is None else own_ports
    return EndpointSlice(
        metadata=Meta(
            name=f"{name}.ipv4",
            namespace=namespace,
            uid=uid or f"uid-{name}",
            creation_timestamp=created,
            labels={
                LABEL_SLICE_MANAGED_BY: MANAGER,
                LABEL_KUBERNETES_SERVICE: name,
                LABEL_NAMESPACE: "demo",
                LABEL_SERVICE: "db",
                LABEL_CLUSTER: source,
                LABEL_ENDPOINT: endpoint,
            },
            annotations={
                ANNOTATION_TARGET_PORTS: numbers if isinstance(numbers, str) else json.dumps(numbers)
            },
        ),
        endpoints=endpoints("10.0.0.2", ready=ready) if listed is None else listed,
        ports=(EndpointPort(name="tcp", port=port, protocol=protocol),),
    )


def local(
    *addresses: str,
    service: str = "hello",
    name: str = "http",
    port: int = 8080,
    family: str = "IPv4",
    ready: bool | None = True,
    protocol: str = "TCP",
    manager: str = MANAGER,
) -> EndpointSlice:
    """A slice of our own exported endpoints."""
    return EndpointSlice(
        metadata=Meta(
            name=f"{service}-own-{family}-{ready}",
            namespace="demo",
            labels={
                LABEL_SLICE_MANAGED_BY: manager,
                LABEL_SERVICE_NAME: service,
                LABEL_SOURCE_CLUSTER: OWN,
            },
        ),
        address_type=family,
        endpoints=endpoints(*addresses, ready=ready),
        ports=(EndpointPort(name=name, port=port, protocol=protocol),),
    )


def own(
    *members: Endpoint,
    port: int = 5432,
    family: str = "IPv4",
    protocol: str = "TCP",
    source: str = OWN,
    service: str = "db",
) -> EndpointSlice:
    """A slice of our own exported endpoints of the headless `demo/db`, whose port is `tcp`."""
    return EndpointSlice(
        metadata=Meta(
            name=f"{service}-own-{family}-{port}-{protocol}",
            namespace="demo",
            labels={
                LABEL_SLICE_MANAGED_BY: MANAGER,
                LABEL_SERVICE_NAME: service,
                LABEL_SOURCE_CLUSTER: source,
            },
        ),
        address_type=family,
        endpoints=members,
        ports=(EndpointPort(name="tcp", port=port, protocol=protocol),),
    )


def member(address: str, *, hostname: str | None = None, ready: bool = True) -> Endpoint:
    """One endpoint, of a StatefulSet when it has a hostname."""
    conditions = EndpointConditions(ready=ready, serving=ready)
    return Endpoint(addresses=(address,), hostname=hostname, conditions=conditions)


def imported(service: str = "hello", *ports: ImportPort) -> ServiceImport:
    """A ServiceImport with a virtual IP."""
    return ServiceImport(
        metadata=Meta(name=service, namespace="demo"),
        spec=ImportSpec(ports=ports or (ImportPort(port=80, name="http"),)),
    )


def headless(service: str = "db") -> ServiceImport:
    """A headless ServiceImport."""
    ports = (ImportPort(port=5432, name="tcp"),)
    return ServiceImport(
        metadata=Meta(name=service, namespace="demo"), spec=ImportSpec(type="Headless", ports=ports)
    )


def exported(
    service: str = "hello", *, going: bool = False, annotations: Mapping[str, str] | None = None
) -> ServiceExport:
    """A ServiceExport; `going` is one that is being deleted."""
    gone = "2026-01-02T00:00:00Z" if going else None
    meta = Meta(name=service, namespace="demo", deletion_timestamp=gone, annotations=dict(annotations or {}))
    return ServiceExport(metadata=meta)


def peer(cluster: str, *hosts: str) -> MeshPeer:
    ways = tuple(PeerGateway(host=host, port=30443) for host in hosts or (f"{cluster}.example",))
    return MeshPeer(metadata=Meta(name=cluster), spec=MeshPeerSpec(gateways=ways))


def objects_of(
    *slices: EndpointSlice,
    imports: Sequence[ServiceImport] = (imported(),),
    exports: Sequence[ServiceExport] = (exported(),),
    peers: Sequence[MeshPeer] = (peer("east"), peer("north")),
    controllers: Sequence[EndpointSlice] = (),
) -> Objects:
    return Objects(
        cluster=OWN,
        domain=domain("clusterset.internal"),
        slices=slices,
        imports=imports,
        exports=exports,
        peers=peers,
        controllers=controllers,
    )


def table_of(
    *slices: EndpointSlice,
    imports: Sequence[ServiceImport] = (imported(),),
    exports: Sequence[ServiceExport] = (exported(),),
    peers: Sequence[MeshPeer] = (peer("east"), peer("north")),
    controllers: Sequence[EndpointSlice] = (),
) -> RouteTable:
    return route_table(
        objects_of(*slices, imports=imports, exports=exports, peers=peers, controllers=controllers)
    )
