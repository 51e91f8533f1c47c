"""The way of a packet, told from the objects that decide it. Pure.

Every line names the object that it was read from, so that a reader can look for himself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mesh_core.names import LABEL_SOURCE_CLUSTER
from mesh_core.objects import EndpointSlice, MeshPeer, ServiceImport


@dataclass(frozen=True, slots=True)
class Way:
    """What the importing cluster holds of one import, and the slices of the cluster that answers."""

    importer: str
    exporter: str
    imported: ServiceImport
    shadow: str
    route: EndpointSlice
    peer: MeshPeer
    backends: Sequence[EndpointSlice]


def lines(way: Way) -> list[str]:
    """One line a hop, in the order of the packet."""
    namespace, name = way.imported.key
    ip = ", ".join(way.imported.spec.ips)
    port = way.imported.spec.ports[0].port
    backends = _addresses(way.backends)
    return [
        f"pod in {way.importer}    resolves {name}.{namespace}.svc.clusterset.local to {ip}"
        f"   (ServiceImport {name})",
        f"kube-proxy      {ip}:{port} to one of {_addresses([way.route])}"
        f"   (Service {way.shadow}, EndpointSlice {way.route.metadata.name})",
        f"egress gateway  a stream in a tunnel with {_gateways(way.peer)}, for {namespace}/{name}:{port}"
        f"   (MeshPeer {way.peer.metadata.name})",
        f"ingress gateway in {way.exporter}, to one of {backends}"
        f"   (its EndpointSlices with {LABEL_SOURCE_CLUSTER}={way.exporter})",
    ]


def _addresses(slices: Sequence[EndpointSlice]) -> str:
    found = sorted(
        f"{endpoint.addresses[0]}:{port.port}"
        for piece in slices
        for port in piece.ports or ()
        for endpoint in piece.endpoints or ()
        if endpoint.is_ready
    )
    return " ".join(found) or "nothing that is ready"


def _gateways(peer: MeshPeer) -> str:
    ways = " or ".join(f"{gateway.host}:{gateway.port}" for gateway in peer.spec.dialled)
    return ways or "a tunnel that the peer dialled"
