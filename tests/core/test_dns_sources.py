"""Whom the DNS server takes for this cluster's own (ruling 16, decision 0025)."""

import pytest

from mesh_core.objects import Meta, Node
from mesh_core.objects.platform import NodeAddress, NodeSpec, NodeStatus
from mesh_core.ranges import number_of, ranges_of
from mesh_dns.sources import MOST_REMEMBERED, Sources


def node(*addresses: str, ranges: tuple[str, ...] = ()) -> Node:
    told = tuple(NodeAddress(type="InternalIP", address=one) for one in addresses)
    named = NodeAddress(type="Hostname", address="10.9.9.9")
    return Node(
        metadata=Meta(name="n"),
        spec=NodeSpec(pod_cidrs=ranges),
        status=NodeStatus(addresses=(*told, named)),
    )


@pytest.fixture
def sources() -> Sources:
    sources = Sources(ranges_of(["198.51.100.0/24"]))
    sources.node_changed("a", node("192.0.2.1", "fd00::a", ranges=("10.1.0.0/24", "fd00:1::/64")))
    sources.cluster_dns_changed(["10.99.0.3"])
    sources.is_known = True
    return sources


@pytest.mark.parametrize(
    "address",
    [
        "192.0.2.1",
        "fd00::a",
        "10.1.0.77",
        "fd00:1::77",
        "10.99.0.3",
        "198.51.100.7",
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "::ffff:10.1.0.77",
        "::ffff:127.0.0.1",
    ],
)
def test_pods_nodes_cluster_dns_loopback_and_named_networks_are_local(sources: Sources, address: str) -> None:
    assert sources.is_local(address)
    assert sources.is_surely_local(address)


@pytest.mark.parametrize(
    "address",
    [
        "192.0.2.2",
        "10.1.1.1",
        "10.9.9.9",
        "fd00:2::1",
        "203.0.113.9",
        "::ffff:203.0.113.9",
        "fe80::1%eth0",
        "::",
        "",
        "pod",
    ],
)
def test_anybody_else_is_outside(sources: Sources, address: str) -> None:
    assert not sources.is_local(address)


def test_until_nodes_and_cluster_dns_were_heard_nobody_is_limited_and_nobody_is_told_more() -> None:
    sources = Sources()
    assert sources.is_local("203.0.113.9")
    assert not sources.is_surely_local("203.0.113.9")
    assert sources.is_surely_local("127.0.0.1")
    sources.is_known = True
    assert not sources.is_local("203.0.113.9")


def test_whoever_was_local_is_outside_when_its_node_or_endpoint_is_gone(sources: Sources) -> None:
    assert sources.is_local("10.1.0.77") and sources.is_local("10.99.0.3")
    sources.node_changed("a", None)
    assert not sources.is_local("10.1.0.77")
    assert sources.is_local("10.99.0.3")
    sources.cluster_dns_changed([])
    assert not sources.is_local("10.99.0.3")
    sources.node_changed("b", node("192.0.2.9"))
    assert sources.is_local("192.0.2.9")


def test_a_node_that_says_what_it_said_changes_nothing(sources: Sources) -> None:
    assert sources.is_local("10.1.0.77")
    before = set(sources._local)
    sources.node_changed("a", node("192.0.2.1", "fd00::a", ranges=("10.1.0.0/24", "fd00:1::/64")))
    sources.node_changed("unknown", None)
    assert sources._local == before


def test_a_flood_from_outside_takes_no_memory_and_local_askers_take_a_bounded_one() -> None:
    sources = Sources(ranges_of(["10.0.0.0/8"]))
    sources.is_known = True
    known = number_of.cache_info().currsize
    for number in range(MOST_REMEMBERED + 10):
        assert not sources.is_local(f"203.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert not sources._local
    assert number_of.cache_info().currsize == known, "nor has what it was read as"
    for number in range(MOST_REMEMBERED + 10):
        assert sources.is_local(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(sources._local) <= MOST_REMEMBERED
