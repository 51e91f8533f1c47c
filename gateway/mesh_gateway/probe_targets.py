"""Whom to dial in order to know whether a peer can be reached: its gateways, and a neighbour's pods.

1. Of a neighbour's pods those that traffic goes to are dialled: ready endpoints of its slices, by TCP ports.
   While none is ready the others are, because a neighbour that is withdrawn has no ready ones left.
2. They come in an order of our own (rendezvous hash), a few at a time, in turn: several gateways ask
   different pods, and in the end everyone is asked.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from mesh_core.names import (
    ANNOTATION_READY_ENDPOINTS,
    LABEL_SERVICE_NAME,
    LABEL_SOURCE_CLUSTER,
)
from mesh_core.objects import Endpoint, EndpointPort, EndpointSlice, MeshPeer
from mesh_core.stand_ins import STAND_INS
from mesh_gateway.route import Address

AT_A_TIME = 3


def gateways_of(peer: MeshPeer) -> tuple[Address, ...]:
    """Where the peer's gateways are dialled, in order of preference; nowhere when it is they that dial."""
    return tuple(Address(way.host, way.port) for way in peer.spec.dialled)


def is_neighbour(peer: MeshPeer, *, network: str) -> bool:
    """Whether the peer's pods are reached directly; `network` is ours, "" for none."""
    return bool(network) and peer.spec.network == network


def pods_of(
    clusters: Iterable[str], *, slices: Iterable[EndpointSlice], own: str
) -> Mapping[str, tuple[Address, ...]]:
    """The pods to dial of each of the clusters, in the order of the gateway at the address `own`."""
    ready: dict[str, set[Address]] = {cluster: set() for cluster in clusters}
    other: dict[str, set[Address]] = {cluster: set() for cluster in ready}
    for piece in slices if ready else ():
        cluster = piece.metadata.labels.get(LABEL_SOURCE_CLUSTER, "")
        if cluster not in ready or not _lists_pods(piece):
            continue
        for endpoint in piece.endpoints or ():
            found = _addresses(endpoint, ports=piece.ports or ())
            if endpoint.is_ready:
                ready[cluster].update(found)
            elif not endpoint.conditions.terminating:
                other[cluster].update(found)
    return {
        cluster: tuple(sorted(ready[cluster] or other[cluster], key=lambda it: _rank(it, own=own)))
        for cluster in ready
    }


def listed_pods(slices: Iterable[EndpointSlice], *, cluster: str, own: str) -> tuple[Address, ...] | None:
    """The ready pods of `cluster` that these slices of one service list, in the order of the gateway at the
    address `own`; None where they list none at all, so that gateways are the way there."""
    pieces = [
        piece
        for piece in slices
        if piece.metadata.labels.get(LABEL_SOURCE_CLUSTER) == cluster and _lists_pods(piece)
    ]
    if not pieces:
        return None
    found = {
        address
        for piece in pieces
        for endpoint in piece.endpoints or ()
        if endpoint.is_ready
        for address in _addresses(endpoint, ports=piece.ports or ())
    }
    return tuple(sorted(found, key=lambda it: _rank(it, own=own)))


def in_turn(pods: Sequence[Address], *, turn: int) -> tuple[Address, ...]:
    """Those that are due in this turn: at most `AT_A_TIME`, none twice."""
    if len(pods) <= AT_A_TIME:
        return tuple(pods)
    first = turn * AT_A_TIME
    return tuple(pods[(first + step) % len(pods)] for step in range(AT_A_TIME))


def _lists_pods(piece: EndpointSlice) -> bool:
    """Whether it is a service's, and lists pods; gateways of ours, or stand-ins, are of no common network."""
    labels, annotations = piece.metadata.labels, piece.metadata.annotations
    if not labels.get(LABEL_SERVICE_NAME):
        return False
    return ANNOTATION_READY_ENDPOINTS not in annotations and not piece.metadata.name.endswith(STAND_INS)


def _addresses(endpoint: Endpoint, *, ports: Iterable[EndpointPort]) -> list[Address]:
    numbers = [port.port for port in ports if port.protocol == "TCP" and port.port]
    return [Address(address, number) for address in endpoint.addresses[:1] for number in numbers]


def _rank(address: Address, *, own: str) -> bytes:
    return hashlib.sha256(f"{own}|{address}".encode()).digest()
