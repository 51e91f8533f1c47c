"""What Nodes say of addresses, put together as they come, change and go."""

from mesh_core.node_place import NodePlaces
from mesh_core.objects import Meta, Node
from mesh_core.objects.platform import NodeAddress, NodeSpec, NodeStatus


def node(name: str, address: str, *ranges: str) -> Node:
    told = (NodeAddress(type="InternalIP", address=address), NodeAddress(type="Hostname", address=name))
    return Node(metadata=Meta(name=name), spec=NodeSpec(pod_cidrs=ranges), status=NodeStatus(addresses=told))


def test_addresses_and_ranges_come_and_go_with_their_nodes() -> None:
    places = NodePlaces()
    assert places.changed("a", node("a", "10.0.0.1", "10.1.0.0/24"))
    assert places.changed("b", node("b", "10.0.0.2", "10.1.1.0/24", "fd00:1::/64"))
    assert places.addresses == {"10.0.0.1", "10.0.0.2"}
    assert places.ranges == {"10.1.0.0/24", "10.1.1.0/24", "fd00:1::/64"}
    assert places.changed("a", None)
    assert places.addresses == {"10.0.0.2"}
    assert places.ranges == {"10.1.1.0/24", "fd00:1::/64"}


def test_a_node_that_says_the_same_again_is_no_news() -> None:
    places = NodePlaces()
    places.changed("a", node("a", "10.0.0.1"))
    assert not places.changed("a", node("a", "10.0.0.1"))
    assert not places.changed("nobody", None)
    assert places.changed("a", node("a", "10.0.0.9"))
