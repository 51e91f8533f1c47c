"""What is believed of where a newcomer says it is, and the MeshPeers that both sides make of it. Pure.

1. A newcomer may only be where a gateway can be: no loopback, no link-local address (a cloud's metadata
   service has one), no multicast, nothing that is no address at all.
2. On a common network it is only if the invitation says which (ruling 11): otherwise whoever has a token
   could say that our own pods' addresses are his. Even then its pods' addresses must not be ours.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mesh_core.invitations import Invitation
from mesh_core.join_wire import Request, Welcome
from mesh_core.objects import Dial, PeerGateway

_Range = ipaddress.IPv4Network | ipaddress.IPv6Network
_DNS_NAME = re.compile(
    r"(?!.*\.\d+$)(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)


def objection(request: Request, *, invitation: Invitation) -> str:
    """Why what the newcomer says of where it is cannot be; "" when it can."""
    for gateway in request.gateways:
        why = _gateway_objection(gateway)
        if why:
            return f"{gateway.host[:80]!r} port {gateway.port} cannot be a gateway: {why}"
    if not shares_network(request, invitation=invitation):
        return ""
    theirs, ours = _ranges(request.pod_cidrs), _ranges(invitation.pod_cidrs)
    if theirs is None or ours is None:
        return "its pods' ranges do not read"
    for one in theirs:
        common = next((own for own in ours if own.version == one.version and own.overlaps(one)), None)
        if common is not None:
            return f"its pods' range {one} overlaps with {common} of the inviting cluster"
        if one.prefixlen < (8 if one.version == 4 else 32):
            return f"its pods' range {one} is half the world"
    return ""


def shares_network(request: Request, *, invitation: Invitation) -> bool:
    """Whether the newcomer is on the network that the invitation names."""
    return bool(invitation.network) and request.network == invitation.network


def peer_of_newcomer(request: Request, *, invitation: Invitation) -> dict[str, Any]:  # Any: JSON
    """The MeshPeer for the newcomer in the inviting cluster."""
    shared = shares_network(request, invitation=invitation)
    return _peer(
        request.cluster,
        gateways=request.gateways,
        # Who can be dialled nowhere dials.
        dial="both" if request.gateways else "inbound",
        network=request.network if shared else "",
        pod_ranges=request.pod_cidrs if shared else (),
    )


def peer_of_inviter(welcome: Welcome, *, request: Request) -> dict[str, Any]:  # Any: JSON
    """The MeshPeer for the inviting cluster at the newcomer."""
    shared = bool(welcome.network) and welcome.network == request.network
    return _peer(
        welcome.cluster,
        gateways=welcome.gateways,
        dial="both" if request.gateways else "outbound",
        network=welcome.network if shared else "",
        pod_ranges=welcome.pod_cidrs if shared else (),
    )


def _peer(
    cluster: str, *, gateways: Sequence[PeerGateway], dial: Dial, network: str, pod_ranges: Iterable[str]
) -> dict[str, Any]:  # Any: JSON
    spec: dict[str, object] = {}
    if gateways:
        # The API server takes no address twice.
        spec["gateways"] = [{"host": one.host, "port": one.port} for one in dict.fromkeys(gateways)]
    if dial != "both":
        spec["dial"] = dial
    if network:
        spec["network"] = network
    if ranges := sorted(set(pod_ranges)):
        spec["import"] = {"podCIDRs": ranges}
    body: Mapping[str, Any] = {"metadata": {"name": cluster}, "spec": spec}
    return dict(body)


def _gateway_objection(gateway: PeerGateway) -> str:
    if not 1 <= gateway.port <= 65535:
        return "no such port"
    try:
        address = ipaddress.ip_address(gateway.host)
    except ValueError:
        return "" if _DNS_NAME.fullmatch(gateway.host) else "neither an address nor a DNS name"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    bad = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    return "nobody can be reached there from elsewhere" if bad else ""


def _ranges(texts: Iterable[str]) -> list[_Range] | None:
    try:
        return [ipaddress.ip_network(text) for text in texts]
    except ValueError:
        return None
