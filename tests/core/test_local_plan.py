"""From a request for local clusters to addresses and ranges."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_local.errors import BadRequest, MachineFault
from mesh_local.names import is_cluster_name, names_of
from mesh_local.plan import MOST_CLUSTERS, MOST_NODES, Request, check, free_subnet, plan_set, same_set

SUBNET = IPv4Network("172.31.7.0/24")


@st.composite
def requests(draw: st.DrawFn) -> Request:
    count = draw(st.integers(1, MOST_CLUSTERS))
    light = draw(st.booleans())
    nodes = 1 if light else draw(st.integers(1, MOST_NODES))
    flat = not light and draw(st.booleans())
    return Request(clusters=tuple(f"c{n}" for n in range(count)), nodes=nodes, flat=flat, light=light)


@given(requests())
def test_no_two_nodes_share_a_name_or_an_address_and_none_has_the_hosts(request: Request) -> None:
    check(request)
    plan = plan_set(request, subnet=SUBNET)
    addresses = [plan.host_address, *(node.address for node in plan.nodes)]
    assert len(set(addresses)) == len(addresses)
    assert all(address in SUBNET and address != SUBNET.broadcast_address for address in addresses)
    assert len({node.name for node in plan.nodes}) == len(plan.nodes)


@given(requests())
def test_the_pod_ranges_of_a_clusters_nodes_are_disjoint_parts_of_the_clusters(request: Request) -> None:
    for cluster in plan_set(request, subnet=SUBNET).clusters:
        ranges = [node.pods for node in cluster.nodes]
        assert all(pods.subnet_of(cluster.pods) for pods in ranges)
        assert not any(a.overlaps(b) for a in ranges for b in ranges if a is not b)
        assert not cluster.pods.overlaps(cluster.services)


@given(requests())
def test_ranges_of_clusters_are_equal_unless_flat_and_then_disjoint(request: Request) -> None:
    clusters = plan_set(request, subnet=SUBNET).clusters
    ranges = {network for cluster in clusters for network in (cluster.pods, cluster.services)}
    assert len(ranges) == (2 * len(clusters) if request.flat else 2)
    assert not any(a.overlaps(b) for a in ranges for b in ranges if a is not b)


def test_nodes_are_named_after_their_cluster_and_the_first_has_its_very_name() -> None:
    plan = plan_set(Request(clusters=("east", "west"), nodes=3), subnet=SUBNET)
    assert [node.name for node in plan.nodes] == ["east", "east-2", "east-3", "west", "west-2", "west-3"]
    assert plan.clusters[1].server == "https://172.31.7.21:6443"
    assert plan.clusters[1].dns_address == IPv4Address("10.96.0.10")


def test_a_node_has_routes_to_the_pods_of_its_own_cluster_alone_unless_flat() -> None:
    request = Request(clusters=("east", "west"), nodes=2)
    plan = plan_set(request, subnet=SUBNET)
    east = plan.clusters[0]
    assert [str(route.target) for route in plan.routes(east, east.first)] == ["10.244.1.0/24"]
    assert plan.reachable_pods(east) == (east.pods,)

    flat = plan_set(Request(clusters=("east", "west"), nodes=2, flat=True), subnet=SUBNET)
    east, west = flat.clusters
    routes = {str(route.target): str(route.gateway) for route in flat.routes(east, east.first)}
    assert routes == {"10.200.1.0/24": "172.31.7.12", "10.201.0.0/24": "172.31.7.21"} | {
        "10.201.1.0/24": "172.31.7.22"
    }
    assert flat.reachable_pods(east) == (east.pods, west.pods)


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (Request(clusters=()), "no cluster was named"),
        (Request(clusters=("East",)), "'East' cannot name a cluster"),
        (Request(clusters=("a.b",)), "'a.b' cannot name a cluster"),
        (Request(clusters=("-a",)), "'-a' cannot name a cluster"),
        (Request(clusters=("a" * 51,)), "cannot name a cluster"),
        (Request(clusters=("kubeconfig",)), "'kubeconfig' cannot name a cluster"),
        (Request(clusters=("east", "west", "east")), "'east' would name two things"),
        (Request(clusters=("east", "east-2"), nodes=2), "'east-2' would name two things"),
        (Request(clusters=tuple(f"c{n}" for n in range(21))), "21 clusters are too many"),
        (Request(clusters=("east",), nodes=0), "cannot have 0 nodes"),
        (Request(clusters=("east",), nodes=6), "cannot have 6 nodes"),
        (Request(clusters=("east",), light=True, nodes=2), "a light cluster"),
        (Request(clusters=("east",), light=True, flat=True), "a light cluster"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(request_: Request, complaint: str) -> None:
    with pytest.raises(BadRequest, match=complaint):
        check(request_)


def test_the_order_of_the_names_does_not_make_another_set() -> None:
    one = Request(clusters=("east", "west"))
    assert same_set(one, Request(clusters=("west", "east")))
    assert not same_set(one, Request(clusters=("east", "west"), light=True))
    assert not same_set(one, Request(clusters=("east",)))


@given(st.lists(st.integers(0, 255), max_size=6))
def test_a_subnet_is_chosen_that_overlaps_nothing_in_use(taken: list[int]) -> None:
    used = [IPv4Network(f"172.31.{number}.0/24") for number in taken]
    chosen = free_subnet([*used, IPv4Network("172.31.128.0/17"), IPv4Network("10.0.0.0/8")])
    assert chosen.prefixlen == 24
    assert not any(chosen.overlaps(network) for network in used)


def test_without_a_free_subnet_the_machine_is_at_fault() -> None:
    with pytest.raises(MachineFault, match=r"no /24 of 172\.31\.0\.0/16 is free"):
        free_subnet([IPv4Network("172.16.0.0/12")])


def test_what_the_kernel_sees_of_a_set_is_named_after_its_folder() -> None:
    one, other = names_of(Path("/a/.local")), names_of(Path("/b/.local"))
    assert one == names_of(Path("/a/.local"))
    assert one.id != other.id
    for name in (one.run_folder.name, one.host_link, one.cgroup):
        assert one.id in name
    assert len(one.host_link) <= 15
    assert not is_cluster_name(one.wan.name)
