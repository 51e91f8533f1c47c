"""What one Node says of addresses: its own, and those of its pods."""

from dataclasses import dataclass

from mesh_core.objects import Node

_HOSTS = ("InternalIP", "ExternalIP")


@dataclass(frozen=True, slots=True)
class NodePlace:
    """The node's own addresses, and its podCIDRs: none where something else than Kubernetes gives out pods'
    addresses. Both as the Node has them, whether they read or not."""

    addresses: frozenset[str]
    ranges: frozenset[str]


def place_of(node: Node) -> NodePlace:
    """What the node says; its names (`Hostname`, `InternalDNS`) are no addresses."""
    addresses = (one.address for one in node.status.addresses if one.type in _HOSTS)
    ranges = node.spec.pod_cidrs or ((node.spec.pod_cidr,) if node.spec.pod_cidr else ())
    return NodePlace(frozenset(addresses), frozenset(ranges))
