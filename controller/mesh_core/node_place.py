"""What Nodes say of addresses: their own, and those of their pods."""

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


class NodePlaces:
    """What all Nodes say together; follows their changes."""

    def __init__(self) -> None:
        self._places: dict[str, NodePlace] = {}

    def changed(self, name: str, node: Node | None) -> bool:
        """Follow one change of the Node `name`, None: it is gone; whether that says anything new."""
        place = place_of(node) if node is not None else None
        if place == self._places.get(name):
            return False
        if place is None:
            del self._places[name]
        else:
            self._places[name] = place
        return True

    @property
    def addresses(self) -> frozenset[str]:
        """The Nodes' own."""
        return frozenset[str]().union(*(place.addresses for place in self._places.values()))

    @property
    def ranges(self) -> frozenset[str]:
        """Those of their pods."""
        return frozenset[str]().union(*(place.ranges for place in self._places.values()))
