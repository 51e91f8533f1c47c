"""What each local port leads to.

1. A port leads to what holds the rightful claim on it (`mesh_core.ports`, ruling 5: of two claims only the
   older one is served). One without a number to ask for is not listened to.
2. A service's ports, however many lanes it has, lead to the same clusters by the same weights: those whose
   slices (MCS labels) say so, by their ready endpoints. Which slice claims a port, and whether kube-proxy
   heeds a slice, makes no difference. A cluster that is withdrawn (endpoints listed, none ready), has no
   ready endpoint, or has no MeshPeer with an address, gets nothing.
3. A stand-in's port leads to one endpoint in its own cluster and never to another cluster (ruling 10).
4. A port that leads nowhere at the moment is still listened to.
5. The target says whether TCP or UDP is spoken on the port: what the import says of a service's port, and the
   slice of a stand-in's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import msgspec

from mesh_core.identity import ClusterId
from mesh_core.names import (
    ANNOTATION_READY_ENDPOINTS,
    ANNOTATION_TARGET_PORTS,
    LABEL_SERVICE_NAME,
    LABEL_SLICE_MANAGED_BY,
    LABEL_SOURCE_CLUSTER,
    MANAGER,
)
from mesh_core.objects import EndpointSlice, ServiceImport
from mesh_core.ports import Claim, PortTarget, claims_of, rightful_claims
from mesh_gateway.affinity import affinity_of
from mesh_gateway.balance import Weighted
from mesh_gateway.opening import Carried
from mesh_gateway.route import Egress, ServicePort, carried

_PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65535)]
_ready_counts = msgspec.json.Decoder(dict[str, int])
_target_ports = msgspec.json.Decoder(dict[str, _PortNumber])

_Number = tuple[int, Carried]
_Counts = Mapping[tuple[str, str], Sequence[tuple[ClusterId, Mapping[str, int]]]]
"""By (namespace, service): for each slice its cluster, and the ready endpoints there by port name."""


@dataclass(frozen=True, slots=True)
class EgressClaims:
    """All claims with their slices, and whose each port rightfully is."""

    claims: Sequence[tuple[EndpointSlice, Claim]]
    owners: Mapping[int, PortTarget]


def egress_claims(slices: Iterable[EndpointSlice], *, cluster: ClusterId) -> EgressClaims:
    """The claims in these slices; `cluster` is our own."""
    claims = [(piece, claim) for piece in slices for claim in claims_of(piece, cluster=cluster)]
    return EgressClaims(claims, rightful_claims(claim for _, claim in claims))


def contested_claims(claims: EgressClaims) -> tuple[tuple[int, PortTarget], ...]:
    """The ports that a younger claim does not get, with whom it would have served; sorted."""
    losers = {
        (claim.port, claim.target) for _, claim in claims.claims if claims.owners[claim.port] != claim.target
    }
    return tuple(sorted(losers))


def egress_routes(
    claims: EgressClaims,
    *,
    slices: Iterable[EndpointSlice],
    imports: Iterable[ServiceImport],
    reachable: Iterable[ClusterId],
) -> dict[int, Egress]:
    """Routes by local port; `reachable` are the other clusters whose gateways we know."""
    known = {str(cluster): cluster for cluster in reachable}
    stand_ins = _stand_ins(claims, known=known)
    imports = tuple(imports)
    numbers = _port_numbers(imports)
    affinities = {item.key: affinity_of(item) for item in imports}
    counts = _counts(slices, known=known)
    services: dict[PortTarget, Egress | None] = {}
    found: dict[int, Egress] = {}
    for port, owner in sorted(claims.owners.items()):
        if owner.is_stand_in:
            route = stand_ins.get(port)
        else:
            target = replace(owner, lane=0) if owner.lane else owner
            if target not in services:
                served = _service(target, numbers=numbers, counts=counts)
                kept = affinities.get((target.namespace, target.service))
                services[target] = served and replace(served, affinity=kept)
            route = services[target]
        if route is not None:
            found[port] = route
    return found


def _port_numbers(imports: Iterable[ServiceImport]) -> dict[PortTarget, _Number]:
    """The ports that a service as a whole has and gateways carry; a headless one has none."""
    return {
        PortTarget(item.metadata.namespace, item.metadata.name, port.name): (port.port, protocol)
        for item in imports
        if item.spec.type != "Headless"
        for port in item.spec.ports
        if (protocol := carried(port.protocol)) is not None
    }


def _counts(slices: Iterable[EndpointSlice], *, known: Mapping[str, ClusterId]) -> _Counts:
    found: dict[tuple[str, str], list[tuple[ClusterId, Mapping[str, int]]]] = {}
    for piece in slices:
        labels = piece.metadata.labels
        source = known.get(labels.get(LABEL_SOURCE_CLUSTER, ""))
        service = labels.get(LABEL_SERVICE_NAME, "")
        text = piece.metadata.annotations.get(ANNOTATION_READY_ENDPOINTS)
        if source is None or not service or text is None or labels.get(LABEL_SLICE_MANAGED_BY) != MANAGER:
            continue
        if not _is_withdrawn(piece):
            found.setdefault((piece.metadata.namespace, service), []).append((source, _numbers_in(text)))
    return found


def _is_withdrawn(piece: EndpointSlice) -> bool:
    """Whether the slice says that nobody is ready there (ruling 8); no gateway of ours says nothing."""
    endpoints = piece.endpoints or ()
    return bool(endpoints) and not any(endpoint.is_ready for endpoint in endpoints)


def _numbers_in(text: str) -> Mapping[str, int]:
    try:
        return _ready_counts.decode(text)
    except msgspec.MsgspecError:
        return {}


def _service(target: PortTarget, *, numbers: Mapping[PortTarget, _Number], counts: _Counts) -> Egress | None:
    """The one route of all lanes of `target`; None when there is no number to ask for."""
    if target not in numbers:
        return None
    number, protocol = numbers[target]
    shares: dict[ClusterId, int] = {}
    for cluster, ready in counts.get((target.namespace, target.service), ()):
        count = ready.get(target.port_name, 0)
        if count > 0:
            # One slice a cluster is the rule; while one replaces another the larger one counts.
            shares[cluster] = max(shares.get(cluster, 0), count)
    return Egress(
        target=ServicePort(target.namespace, target.service, number, protocol=protocol),
        targets=tuple(Weighted(cluster, shares[cluster]) for cluster in sorted(shares)),
    )


def _stand_ins(claims: EgressClaims, *, known: Mapping[str, ClusterId]) -> dict[int, Egress]:
    """The routes of stand-ins' ports. One slice a stand-in is the rule; of several a ready one counts."""
    found: dict[int, tuple[tuple[bool, tuple[str, str]], Egress]] = {}
    for piece, claim in claims.claims:
        target = claim.target
        if not target.is_stand_in or claims.owners[claim.port] != target:
            continue
        own = _own_number(piece, claim=claim)
        if own is None:
            continue
        number, protocol = own
        cluster = known.get(target.cluster)
        route = Egress(
            target=ServicePort(
                target.namespace, target.service, number, endpoint=target.endpoint, protocol=protocol
            ),
            targets=() if cluster is None or _is_withdrawn(piece) else (Weighted(cluster, 1),),
        )
        rank = not route.targets, claim.age
        if claim.port not in found or rank < found[claim.port][0]:
            found[claim.port] = rank, route
    return {port: route for port, (_, route) in found.items()}


def _own_number(piece: EndpointSlice, *, claim: Claim) -> _Number | None:
    """The endpoint's own number of a claimed port, and its protocol; None when the slice does not say."""
    name = claim.target.port_name
    spoken = (p.protocol for p in piece.ports or () if p.port == claim.port and (p.name or "") == name)
    protocol = carried(next(spoken, ""))
    try:
        numbers = _target_ports.decode(piece.metadata.annotations.get(ANNOTATION_TARGET_PORTS, "{}"))
    except msgspec.MsgspecError:
        return None
    number = numbers.get(name)
    return None if number is None or protocol is None else (number, protocol)
