"""Who is behind an address of this cluster (ruling 17)."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.objects import Node, Pod
from mesh_core.ranges import Number, ranges_of
from mesh_gateway.opening import Source
from mesh_gateway.sources import FOREIGN, PENDING, UNKNOWN, Found, Looked, SourceIndex

FIRST, SECOND = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def pod(name: str, *addresses: str, created: str = FIRST, uid: str = "", **changes: Any) -> Pod:
    """A pod of `shop` under `till`; `changes` are phase, deleting, host_network, account: several types."""
    meta = {"name": name, "namespace": "shop", "uid": uid or f"uid-{name}", "creationTimestamp": created}
    if changes.get("deleting"):
        meta["deletionTimestamp"] = SECOND
    body = {
        "metadata": {**meta, "labels": {"app": name}, "annotations": {"long": "x" * 100}},
        "spec": {
            "serviceAccountName": changes.get("account", "till"),
            "hostNetwork": changes.get("host_network", False),
        },
        "status": {
            "phase": changes.get("phase", "Running"),
            "podIP": addresses[0] if addresses else "",
            "podIPs": [{"ip": address} for address in addresses],
        },
    }
    return msgspec.convert(body, Pod)


def node(name: str, *addresses: str, ranges: tuple[str, ...] = ()) -> Node:
    listed = [{"type": "InternalIP", "address": address} for address in addresses]
    listed.append({"type": "Hostname", "address": name})
    body = {"metadata": {"name": name}, "spec": {"podCIDRs": ranges}, "status": {"addresses": listed}}
    return msgspec.convert(body, Node)


def index_of(*pods: Pod, nodes: tuple[Node, ...] = ()) -> SourceIndex:
    index = SourceIndex()
    for one in nodes:
        index.node_changed(one.metadata.name, one)
    for item in pods:
        index.pod_changed(None, item)
    return index


def who(found: Looked) -> str:
    """Name of the pod, `node`, or what else was found."""
    if isinstance(found, Found):
        return "node" if found.source.node else found.source.pod
    return type(found).__name__.lower()


NODES = (
    node("a", "192.0.2.1", "2001:db8::1", ranges=("10.1.0.0/24", "fd00:1::/64")),
    node("b", "192.0.2.2", ranges=("10.1.1.0/24", "fd00:1:0:1::/64")),
)


def test_a_pod_that_runs_is_known_by_what_kubelet_reported() -> None:
    index = index_of(pod("till-1", "10.1.0.7", "fd00:1::7"), nodes=NODES)
    expected = Source(address="10.1.0.7", namespace="shop", account="till", pod="till-1")
    assert index.look("10.1.0.7") == Found(expected)
    assert who(index.look("fd00:1::7")) == "till-1"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_finished_is_nobody(phase: str) -> None:
    index = index_of(pod("till-1", "10.1.0.7", phase=phase), nodes=NODES)
    assert index.look("10.1.0.7") is PENDING
    running = pod("till-2", "10.1.0.8")
    index.pod_changed(None, running)
    index.pod_changed(running, pod("till-2", "10.1.0.8", phase=phase))
    assert index.look("10.1.0.8") is PENDING


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="new only by its name"),
        pytest.param({"created": SECOND}, id="newer"),
        pytest.param({"created": SECOND, "account": "clerk"}, id="another account"),
    ],
)
def test_an_address_that_is_used_again_is_its_newest_pods_ruling_17(change: dict[str, str]) -> None:
    old, new = pod("old", "10.1.0.7"), pod("new", "10.1.0.7", **change)
    index = index_of(old, new, nodes=NODES)
    assert who(index.look("10.1.0.7")) == "new"
    index.pod_changed(old, None)
    assert who(index.look("10.1.0.7")) == "new"
    index.pod_changed(new, None)
    assert index.look("10.1.0.7") is PENDING


def test_an_older_pod_that_is_seen_later_does_not_take_the_address_of_a_newer_one() -> None:
    new = pod("new", "10.1.0.7", created=SECOND)
    index = index_of(new, pod("old", "10.1.0.7"), nodes=NODES)
    assert who(index.look("10.1.0.7")) == "new"
    index.pod_changed(new, None)
    assert who(index.look("10.1.0.7")) == "old"


def test_a_pod_that_is_being_deleted_keeps_its_identity_until_another_has_the_address() -> None:
    old = pod("old", "10.1.0.7", created=SECOND)
    index = index_of(old, nodes=NODES)
    going = pod("old", "10.1.0.7", created=SECOND, deleting=True)
    index.pod_changed(old, going)
    assert who(index.look("10.1.0.7")) == "old"
    other = pod("other", "10.1.0.7", created=FIRST)
    index.pod_changed(None, other)
    assert who(index.look("10.1.0.7")) == "other"
    index.pod_changed(other, None)
    assert who(index.look("10.1.0.7")) == "old"
    index.pod_changed(going, None)
    assert index.look("10.1.0.7") is PENDING


def test_a_pod_of_the_same_name_in_its_place_is_another_pod() -> None:
    old = pod("db-0", "10.1.0.7", account="db")
    index = index_of(old, nodes=NODES)
    new = pod("db-0", "10.1.0.9", uid="another", account="other")
    index.pod_changed(old, new)
    assert index.look("10.1.0.7") is PENDING
    found = index.look("10.1.0.9")
    assert isinstance(found, Found)
    assert found.source.account == "other"


def test_the_first_connection_of_a_new_pod_is_pending_until_its_address_is_reported() -> None:
    fresh = pod("till-1")
    index = index_of(fresh, nodes=NODES)
    assert index.look("10.1.0.7") is PENDING
    assert index.pod_changed(fresh, pod("till-1", "10.1.0.7")) == ("10.1.0.7",)
    assert who(index.look("10.1.0.7")) == "till-1"


def test_nodes_and_what_comes_from_their_network_are_the_node() -> None:
    index = index_of(pod("proxy", "192.0.2.1", host_network=True), nodes=NODES)
    for address in ("192.0.2.1", "2001:db8::1", "192.0.2.2"):
        assert index.look(address) == Found(Source(address=address, node=True))
    for bridge in ("10.1.0.1", "10.1.1.1", "10.1.1.0", "fd00:1::1", "fd00:1:0:1::"):
        assert who(index.look(bridge)) == "node", "masqueraded"
    index.node_changed("b", None)
    assert index.look("192.0.2.2") is FOREIGN
    assert index.look("10.1.1.1") is FOREIGN


def test_a_pod_at_the_first_address_of_a_range_is_the_pod() -> None:
    assert who(index_of(pod("till-1", "10.1.0.1"), nodes=NODES).look("10.1.0.1")) == "till-1"


@pytest.mark.parametrize(
    "address", ["10.2.0.7", "198.51.100.1", "fd00:2::7", "127.0.0.1", "fe80::1%eth0", "", "x"]
)
def test_a_foreign_pod_in_a_flat_network_is_foreign_ruling_17(address: str) -> None:
    index = index_of(pod("till-1", "10.1.0.7"), nodes=NODES)
    assert index.look(address) is FOREIGN


def test_without_stated_ranges_an_address_that_nobody_has_is_unknown_and_a_neighbours_foreign() -> None:
    index = index_of(pod("till-1", "10.1.0.7"), nodes=(node("a", "192.0.2.1"),))
    assert index.look("10.2.0.7") is UNKNOWN
    assert index.look("not an address") is FOREIGN
    index.neighbours_changed(ranges_of(["10.2.0.0/16"]))
    assert index.look("10.2.0.7") is FOREIGN
    assert who(index.look("10.1.0.7")) == "till-1"
    assert index.look("10.3.0.7") is UNKNOWN


def test_ranges_in_which_pods_do_not_lie_mean_nothing_while_that_is_so() -> None:
    """Some networks give out addresses of their own, whatever the Nodes say."""
    stray = pod("stray", "172.20.0.7")
    index = index_of(stray, pod("six", "fd00:1::8"), nodes=NODES)
    assert index.stated == {6}
    assert index.look("172.20.0.8") is UNKNOWN
    assert index.look("fd00:2::1") is FOREIGN, "the other family is as it was"
    index.pod_changed(stray, None)
    assert index.look("172.20.0.8") is FOREIGN


def test_pods_that_are_seen_before_their_nodes_are_no_strays() -> None:
    index = index_of(pod("one", "10.1.0.7"), pod("two", "10.1.1.7"))
    assert index.look("10.9.9.9") is UNKNOWN
    index.node_changed("a", NODES[0])
    assert index.look("10.9.9.9") is UNKNOWN, "two is outside"
    index.node_changed("b", NODES[1])
    assert index.look("10.9.9.9") is FOREIGN
    index.node_changed("b", None)
    assert index.look("10.9.9.9") is FOREIGN, "the node went before its pod"


def test_what_says_nothing_new_of_addresses_changes_nothing() -> None:
    index = index_of(nodes=NODES)
    assert not index.node_changed("a", NODES[0])
    assert not index.node_changed("unknown", None)
    one = pod("till-1", "10.1.0.7")
    assert index.pod_changed(None, one) == ("10.1.0.7",)
    assert index.pod_changed(one, pod("till-1", "10.1.0.7")) == ()


def test_the_ground_holds_pods_nodes_and_the_ranges_that_count() -> None:
    index = index_of(pod("one", "10.1.0.7"), pod("bridge", "10.1.1.1"), nodes=NODES[1:])
    ground = index.ground(external=ranges_of(["198.51.100.0/24"]), reserved=["10.96.0.1", "?"])
    assert ground.pods == {"10.1.0.7": "shop", "10.1.1.1": "shop"}
    assert not ground.ranges.hold(Number(4, (10 << 24) + (1 << 16) + 7)), "one is a stray"
    assert len(ground.nodes) == 4, "not the address that a pod has"
    assert ground.reserved == {Number(4, (10 << 24) + (96 << 16) + 1)}
    before = ground.pods
    assert index.ground(external=ground.external, reserved=()).pods is before, "not copied again"


names = st.sampled_from(["a", "b", "c"])
addresses = st.sampled_from(["10.1.0.7", "10.1.0.8", "10.1.1.9", "172.16.0.1"])
states = st.builds(
    lambda name, at, created, phase, deleting, host, uid: pod(
        name, *at, created=created, phase=phase, deleting=deleting, host_network=host, uid=f"{name}-{uid}"
    ),
    names,
    st.lists(addresses, max_size=2, unique=True),
    st.sampled_from([FIRST, SECOND]),
    st.sampled_from(["Pending", "Running", "Succeeded"]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 1),
)


@given(history=st.lists(st.one_of(states, names), max_size=12))
def test_whatever_happened_an_address_is_one_of_the_pods_that_have_it_now(history: list[Pod | str]) -> None:
    index, there = index_of(nodes=NODES), dict[str, Pod]()
    for step in history:
        name = step if isinstance(step, str) else step.metadata.name
        old, new = there.pop(name, None), None if isinstance(step, str) else step
        if new is not None:
            there[name] = new
        index.pod_changed(old, new)
    for address in ("10.1.0.7", "10.1.0.8", "10.1.1.9", "172.16.0.1"):
        having = [
            one
            for one in there.values()
            if address in one.addresses and not one.is_finished and not one.spec.host_network
        ]
        found = index.look(address)
        if not having:
            assert not isinstance(found, Found)
            continue
        assert isinstance(found, Found)
        staying = [one for one in having if one.metadata.deletion_timestamp is None] or having
        newest = max(one.metadata.creation_timestamp for one in staying)
        assert found.source.pod in {
            one.metadata.name for one in staying if one.metadata.creation_timestamp == newest
        }
    assert index.ground(external=ranges_of([]), reserved=()).pods.keys() == {
        address
        for one in there.values()
        if not one.is_finished and not one.spec.host_network
        for address in one.addresses
    }
