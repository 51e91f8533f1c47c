"""What a capacity tells beside nodes and pods: pools by convention, revisions by placement, names or none."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh_core.objects import ClusterProperty, KubernetesObject, Meta
from mesh_placement.decide.capacity_beside import (
    MOST_POOLS,
    Beside,
    is_pool_name,
    names_of,
    observed,
    with_beside,
)
from mesh_placement.objects import (
    Assignment,
    AssignmentSpec,
    AssignmentStatus,
    ClusterCapacityStatus,
    NamespacedName,
)

NODES = ClusterCapacityStatus(
    total={"cpu": "8"}, available={"cpu": "3"}, continuous={"cpu": "2"}, warnings=("w",)
)
POOL = "addresses.pool.meshctl.dev"


def prop(name: str, value: str) -> ClusterProperty:
    return msgspec.convert({"metadata": {"name": name}, "spec": {"value": value}}, ClusterProperty)


def told(*properties: ClusterProperty) -> ClusterCapacityStatus:
    return with_beside(NODES, Beside(observed={}, properties=properties))


@pytest.mark.parametrize(
    ("value", "available", "total"),
    [
        ("127", "127", "127"),
        ("12/127", "12", "127"),
        (" 12 / 127 ", "12", "127"),
        ("1k", "1000", "1000"),
        ("0/0", "0", "0"),
        ("1500m", "1", "1"),
    ],
)
def test_a_pool_is_a_resource_of_the_whole_cluster_and_of_no_node(
    value: str, available: str, total: str
) -> None:
    found = told(prop(POOL, value), prop("region.topology.meshctl.dev", "7"))
    assert (found.available, found.total) == (
        {"cpu": "3", POOL: available},
        {"cpu": "8", POOL: total},
    )
    assert (found.continuous, found.shapes, found.warnings) == ({"cpu": "2"}, (), ("w",))
    assert is_pool_name(POOL) and not is_pool_name("cpu")


@pytest.mark.parametrize("value", ["", "many", "-1", "128/127", "1/", "/1", "1/2/3", "1/many"])
def test_a_pool_that_does_not_read_is_left_out_and_warned_of(value: str) -> None:
    found = told(prop(POOL, value))
    assert (found.available, found.total) == (NODES.available, NODES.total)
    assert found.warnings == (
        "w",
        f'ClusterProperty {POOL} is no pool; write "available/total", as "12/127"',
    )


def test_no_more_pools_are_told_than_there_is_room_for() -> None:
    many = [prop(f"p{number:03}{POOL}", "1") for number in range(MOST_POOLS + 50)]
    assert len(told(*reversed(many)).total) == MOST_POOLS + 1
    assert len(told(*(prop(f"p{number}{POOL}", "") for number in range(99))).warnings) == 20


@given(some.integers(0, 10**9), some.integers(0, 10**9))
def test_a_pool_never_has_more_available_than_there_is(available: int, total: int) -> None:
    found = told(prop(POOL, f"{available}/{total}"))
    assert (POOL in found.total) is (available <= total)


def assignment(
    name: str, *, visible: int, ref: NamespacedName | None = None, at: str | None = None
) -> Assignment:
    return Assignment(
        metadata=Meta(name=name, deletion_timestamp=at),
        spec=AssignmentSpec(placement_ref=ref or NamespacedName(), revision=9),
        status=AssignmentStatus(visible=visible),
    )


def test_revisions_are_those_of_placements_and_of_what_people_assign() -> None:
    cart = NamespacedName(namespace="shop", name="cart")
    found = observed(
        [
            assignment("shop.cart", visible=7, ref=cart),
            assignment("by-hand", visible=2),
            assignment("not-yet", visible=0),
            assignment("leaves", visible=5, at="2026-01-01T00:00:00Z"),
        ]
    )
    assert found == {"by-hand": 2, "shop/cart": 7}
    assert list(found) == ["by-hand", "shop/cart"]


def test_names_are_told_in_order_without_those_that_leave_or_not_at_all() -> None:
    shop, leaving = (
        KubernetesObject(metadata=Meta(name=name, deletion_timestamp=at))
        for name, at in (("shop", None), ("old", "2026-01-01T00:00:00Z"))
    )
    system = KubernetesObject(metadata=Meta(name="kube-system"))
    assert names_of([shop, leaving, system], most=2) == ("kube-system", "shop")
    assert names_of([shop, leaving, system], most=1) is None
    assert names_of([], most=1) == ()
