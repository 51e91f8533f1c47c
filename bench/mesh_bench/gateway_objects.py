"""What the caches of two gateways hold: west imports `demo/hello`, which east exports. Pure."""

import json

from mesh_core.identity import cluster_id, domain
from mesh_core.names import (
    ANNOTATION_READY_ENDPOINTS,
    DEFAULT_DOMAIN,
    LABEL_SERVICE_NAME,
    LABEL_SLICE_MANAGED_BY,
    LABEL_SOURCE_CLUSTER,
    MANAGER,
    PEER_STREAM_PORT_NAME,
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
from mesh_gateway.route import Address
from mesh_gateway.route_table import Objects

WEST, EAST = "west", "east"
_NAMESPACE, _SERVICE, _PORT_NAME, _NUMBER = "demo", "hello", "http", 80
_BORN = "2026-01-01T00:00:00Z"


def egress_objects(*, listen: int, peer: Address) -> Objects:
    """West's: the port on which its gateway takes connections to the service, and where east's gateway is."""
    counts = {ANNOTATION_READY_ENDPOINTS: json.dumps({_PORT_NAME: 1})}
    return _objects(
        WEST,
        pieces=(_slice(EAST, address="10.0.0.2", port=listen, annotations=counts),),
        peers=(_peer(EAST, peer),),
    )


def ingress_objects(*, backend: Address, peer: Address) -> Objects:
    """East's: the one endpoint of the service, which also is where its controller takes streams of peers."""
    controller = EndpointSlice(
        metadata=Meta(name="controller", namespace="mesh-system"),
        endpoints=(_ready(backend.host),),
        ports=(EndpointPort(name=PEER_STREAM_PORT_NAME, port=backend.port),),
    )
    return _objects(
        EAST,
        pieces=(_slice(EAST, address=backend.host, port=backend.port),),
        peers=(_peer(WEST, peer),),
        exports=(ServiceExport(metadata=Meta(name=_SERVICE, namespace=_NAMESPACE)),),
        controllers=(controller,),
    )


def _objects(
    cluster: str,
    *,
    pieces: tuple[EndpointSlice, ...],
    peers: tuple[MeshPeer, ...],
    exports: tuple[ServiceExport, ...] = (),
    controllers: tuple[EndpointSlice, ...] = (),
) -> Objects:
    ports = (ImportPort(port=_NUMBER, name=_PORT_NAME),)
    return Objects(
        cluster=cluster_id(cluster),
        domain=domain(DEFAULT_DOMAIN),
        slices=pieces,
        imports=(
            ServiceImport(metadata=Meta(name=_SERVICE, namespace=_NAMESPACE), spec=ImportSpec(ports=ports)),
        ),
        exports=exports,
        peers=peers,
        controllers=controllers,
    )


def _slice(
    source: str, *, address: str, port: int, annotations: dict[str, str] | None = None
) -> EndpointSlice:
    labels = {LABEL_SLICE_MANAGED_BY: MANAGER, LABEL_SERVICE_NAME: _SERVICE, LABEL_SOURCE_CLUSTER: source}
    return EndpointSlice(
        metadata=Meta(
            name=f"{_SERVICE}-{source}",
            namespace=_NAMESPACE,
            uid=f"uid-{source}",
            creation_timestamp=_BORN,
            labels=labels,
            annotations=annotations or {},
        ),
        endpoints=(_ready(address),),
        ports=(EndpointPort(name=_PORT_NAME, port=port),),
    )


def _ready(address: str) -> Endpoint:
    return Endpoint(addresses=(address,), conditions=EndpointConditions(ready=True, serving=True))


def _peer(cluster: str, way: Address) -> MeshPeer:
    return MeshPeer(
        metadata=Meta(name=cluster),
        spec=MeshPeerSpec(gateways=(PeerGateway(host=way.host, port=way.port),)),
    )
