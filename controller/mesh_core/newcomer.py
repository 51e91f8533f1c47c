"""What is believed of where a newcomer says it is, and the MeshPeers that both sides make of it. Pure.

1. A newcomer may only be where a gateway can be: no loopback, no link-local address (a cloud's metadata
   service has one), no multicast, no name that only means something inside a cluster or a cloud, nothing
   that is no address at all. The inviter is held to the same.
2. On a common network it is only if the invitation says which (ruling 11): otherwise whoever has a token
   could say that our own pods' addresses are his. Even then its pods' addresses must not be ours.
3. The MeshPeer of a newcomer says by which pool and key it was let in: nobody else of that id is believed.
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
_INSIDE = re.compile(r".*\.(localhost|localdomain|svc|cluster\.local|clusterset\.local)")
"""Names that a resolver answers from inside: from /etc/hosts, or as the DNS of a cluster."""
_METADATA = re.compile(r"(metadata|instance-data)(\..*)?\.internal|metadata\.(goog|tencentyun\.com)")
_METADATA_ADDRESSES = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16"))
)
"""Those of clouds that are not link-local, as most are."""


def objection(request: Request, *, invitation: Invitation) -> str:
    """Why what the newcomer says of where it is cannot be; "" when it can."""
    if why := _gateways_objection(request.gateways):
        return why
    if not shares_network(request, invitation=invitation):
        return ""
    return _ranges_objection(request.pod_cidrs, own=invitation.pod_cidrs, whose="the inviting cluster")


def inviter_objection(welcome: Welcome, *, request: Request) -> str:
    """Why what the inviter says of where it is cannot be, by who asks with `request`; "" when it can."""
    if why := _gateways_objection(welcome.gateways):
        return why
    if not _on_our_network(welcome, request=request):
        return ""
    return _ranges_objection(welcome.pod_cidrs, own=request.pod_cidrs, whose="this cluster")


def _gateways_objection(gateways: Iterable[PeerGateway]) -> str:
    for gateway in gateways:
        why = _gateway_objection(gateway)
        if why:
            return f"{gateway.host[:80]!r} port {gateway.port} cannot be a gateway: {why}"
    return ""


def _ranges_objection(texts: Iterable[str], *, own: Iterable[str], whose: str) -> str:
    theirs, ours = _ranges(texts), _ranges(own)
    if theirs is None or ours is None:
        return "its pods' ranges do not read"
    for one in theirs:
        common = next((mine for mine in ours if mine.version == one.version and mine.overlaps(one)), None)
        if common is not None:
            return f"its pods' range {one} overlaps with {common} of {whose}"
        if one.prefixlen < (8 if one.version == 4 else 32):
            return f"its pods' range {one} is half the world"
    return ""


def shares_network(request: Request, *, invitation: Invitation) -> bool:
    """Whether the newcomer is on the network that the invitation names."""
    return bool(invitation.network) and request.network == invitation.network


def peer_of_newcomer(
    request: Request, *, invitation: Invitation, pool: str, key: str
) -> dict[str, Any]:  # Any: JSON
    """The MeshPeer for the newcomer in the inviting cluster, which let it in by `pool` with `key` (KeyId)."""
    shared = shares_network(request, invitation=invitation)
    body = _peer(
        request.cluster,
        gateways=request.gateways,
        # Who can be dialled nowhere dials.
        dial="both" if request.gateways else "inbound",
        network=request.network if shared else "",
        pod_ranges=request.pod_cidrs if shared else (),
    )
    # From the very first: without them the first who shows a certificate for that id would be believed.
    body["spec"] |= {"pool": pool, "key": key}
    return body


def peer_of_inviter(welcome: Welcome, *, request: Request) -> dict[str, Any]:  # Any: JSON
    """The MeshPeer for the inviting cluster at the newcomer."""
    shared = _on_our_network(welcome, request=request)
    return _peer(
        welcome.cluster,
        gateways=welcome.gateways,
        dial="both" if request.gateways else "outbound",
        network=welcome.network if shared else "",
        pod_ranges=welcome.pod_cidrs if shared else (),
    )


def _on_our_network(welcome: Welcome, *, request: Request) -> bool:
    return bool(welcome.network) and welcome.network == request.network


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
        return _name_objection(gateway.host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    bad = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    return "nobody can be reached there from elsewhere" if bad or address in _METADATA_ADDRESSES else ""


def _name_objection(name: str) -> str:
    if not _DNS_NAME.fullmatch(name):
        return "neither an address nor a DNS name"
    if "." not in name:
        return "a name of one label means something else in every cluster"
    if _INSIDE.fullmatch(name) or _METADATA.fullmatch(name):
        return "such a name does not lead to another cluster"
    return ""


def _ranges(texts: Iterable[str]) -> list[_Range] | None:
    try:
        return [ipaddress.ip_network(text) for text in texts]
    except ValueError:
        return None
