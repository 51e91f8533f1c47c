"""What makes one member know another, as an object. Pure.

`meshctl link` and `peer add` apply it, or print it for GitOps.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from mesh_core.identity import ClusterId
from mesh_core.names import RESERVED_API_SERVER
from mesh_core.objects import Dial, MeshPeer, MeshPeerSpec, PeerClusterset, PeerGateway
from mesh_runtime.kube import MESH_PEERS

# A JSON object for the API server.
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer is, which clusterset it belongs to where that is not ours, and whether it may reach our
    API server; what is None is left as its MeshPeer says it."""

    gateways: tuple[PeerGateway, ...]
    network: str | None = None
    pod_ranges: tuple[str, ...] | None = None
    dial: Dial | None = None
    clusterset: PeerClusterset | None = None
    api_server: bool | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What one member is told: its id, the kubeconfig context that leads to it, and the MeshPeer."""

    member: ClusterId
    context: str
    body: Body


def peer_body(peer: ClusterId, *, place: Place, seen: MeshPeer | None) -> Body:
    """The MeshPeer that says where `peer` is; `seen` is the one that is there.

    What was said before under our field manager is replaced, so what shall stay is said again.
    """
    before = seen.spec if seen is not None else MeshPeerSpec()
    network = before.network if place.network is None else place.network
    ranges = before.imports.pod_cidrs if place.pod_ranges is None else place.pod_ranges
    dial = before.dial if place.dial is None else place.dial
    gateways = [{"host": one.host, "port": one.port} for one in place.gateways]
    spec: dict[str, object] = {"gateways": gateways} if gateways else {}
    spec |= {"dial": dial} if (dial, before.dial) != ("both", "both") else {}
    spec |= {"network": network} if network else {}
    spec |= {"import": {"podCIDRs": list(ranges)}} if ranges else {}
    # Left out, a peer with a root of its own would be taken for one of ours.
    clusterset = before.trust if place.clusterset is None else place.clusterset
    if clusterset is not None:
        spec |= {"trust": {"domain": clusterset.domain, "roots": list(clusterset.roots)}}
    access = _access(before.access, api_server=place.api_server)
    # Said even where it is nothing: a consent that somebody else wrote is taken back as well.
    spec |= {"access": list(access)} if access or place.api_server is False else {}
    return {"metadata": {"name": peer}, "spec": spec}


def _access(before: tuple[str, ...], *, api_server: bool | None) -> tuple[str, ...]:
    """What a peer may reach here beside Services: as before, but for the API server if that is said anew."""
    if api_server is None:
        return before
    others = tuple(each for each in before if each != RESERVED_API_SERVER)
    return (*others, RESERVED_API_SERVER) if api_server else others


def peers_yaml(told: Iterable[Told]) -> str:
    """The MeshPeers as `kubectl apply` takes them, one document each, under a line that says whose it is."""
    return "---\n".join(_document(one) for one in told)


def _document(told: Told) -> str:
    whole = {"apiVersion": MESH_PEERS.api_version, "kind": MESH_PEERS.kind, **told.body}
    text = yaml.safe_dump(whole, sort_keys=False, width=1_000_000)
    return f"# for {told.member} (context {told.context})\n{text}"
