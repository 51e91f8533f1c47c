"""How well a cluster reaches what is needed: near, whole, after the worst loss; and its ways in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import structs

from mesh_fakes.network_scene import PAY, cluster, export, link, placement, snapshot, unfresh
from mesh_placement.objects.placing import ServiceNeed
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.path_text import path_texts
from mesh_placement.schedule.network.scores import Latency, Reachability, Resilience
from mesh_placement.schedule.plugins import Score
from mesh_placement.schedule.snapshot import Export, SetView, Snapshot

CART = "shop/cart"


def needs(*names: str, rtt: str = "") -> list[ServiceNeed]:
    return [ServiceNeed(name=name, max_rtt=rtt) for name in names]


def score(which: Score, state: Snapshot, *wanted: ServiceNeed) -> dict[str, float]:
    return dict(which.score(Look(state), placement(needs=wanted), state.clusters))


def test_nearness_is_the_part_of_the_budget_that_is_left_by_weight() -> None:
    state = snapshot(
        ["a", "b"],
        links=[link("a->b", 10.0)],
        exports=[export("b"), export("a", service=CART)],
    )
    pay = ServiceNeed(name="payments", max_rtt="40ms", weight=3)
    assert score(Latency(), state, pay)["a"] == pytest.approx(75.0)
    assert score(Latency(), state, pay, *needs("cart", rtt="40ms"))["a"] == pytest.approx((3 * 75 + 100) / 4)


def test_without_a_budget_nearness_falls_with_the_logarithm() -> None:
    state = snapshot(
        ["a", "b", "c", "d"],
        links=[link("a->d", 10.0), link("b->d", 100.0), link("c->d", 1000.0)],
        exports=[export("d")],
    )
    found = score(Latency(), state, *needs("payments"))
    assert found["d"] == 100.0
    assert found["a"] == pytest.approx(65.3, abs=0.1)
    assert found["b"] == pytest.approx(33.2, abs=0.1)
    assert found["c"] == pytest.approx(0.0)


def test_what_nobody_measured_or_nobody_reaches_earns_nothing() -> None:
    state = snapshot(["a", "b", "c"], links=[link("a->c")], exports=[export("c")])
    found = score(Latency(), state, *needs("payments"))
    assert (found["a"], found["b"]) == (0.0, 0.0)


def test_reachability_is_the_share_of_needs_that_are_reached() -> None:
    state = snapshot(
        ["a", "b"], links=[unfresh(link("a->b", 1.0))], exports=[export("b"), export("a", service=CART)]
    )
    found = score(Reachability(), state, *needs("payments", "cart"))
    assert found == {"a": 50.0, "b": 50.0}


def worlds() -> dict[str, tuple[list[Export], float]]:
    return {
        "both needs hang on one other cluster": ([export("b"), export("b", service=CART)], 0.0),
        "each hangs on another one": ([export("b"), export("c", service=CART)], 50.0),
        "one is there twice": ([export("b"), export("c"), export("c", service=CART)], 50.0),
        "both are there twice": (
            [export("b"), export("c"), export("b", service=CART), export("c", service=CART)],
            100.0,
        ),
        "both are at home, each with pods of its own": ([export("a"), export("a", service=CART)], 50.0),
        "one is nowhere": ([export("b"), export("c")], 50.0),
    }


@pytest.mark.parametrize("name", worlds())
def test_resilience_is_what_is_left_after_the_worst_single_loss(name: str) -> None:
    exports, left = worlds()[name]
    state = snapshot(["a", "b", "c"], links=[link("a->b", 1.0), link("a->c", 1.0)], exports=exports)
    assert score(Resilience(), state, *needs("payments", "cart"))["a"] == left


@given(
    some.lists(
        some.tuples(some.sampled_from("abc"), some.sampled_from(["x", "y", "z"])), unique=True, max_size=9
    )
)
def test_resilience_is_what_taking_each_thing_away_in_turn_leaves(rows: list[tuple[str, str]]) -> None:
    exports = [export(where, service=f"shop/{name}") for where, name in rows]
    links = [link("a->b", 1.0), link("a->c", 1.0)]
    state = snapshot(["a", "b", "c"], links=links, exports=exports)

    def reached(there: list[Export]) -> int:
        return len({one.service for one in there})

    losses = [[one for one in exports if one is not lost] for lost in exports]
    losses += [[one for one in exports if one.cluster != lost] for lost in "bc"]
    worst = min(map(reached, losses))
    found = score(Resilience(), state, *needs("x", "y", "z"))["a"]
    assert found == pytest.approx(100 * worst / 3)


def test_a_placement_that_needs_nothing_is_scored_nothing() -> None:
    for which in (Latency(), Reachability(), Resilience()):
        assert score(which, snapshot(["a"])) == {}


def test_a_way_is_told_hop_by_hop() -> None:
    state = snapshot(
        ["north-1", "south-1", "west-1"],
        links=[link("south-1->west-1", 63.0), structs.replace(link("south-1->north-1"), state="Down")],
        exports=[export("west-1", 4), export("south-1", 1), export("north-1", 1)],
    )
    wanted = placement(needs=needs("payments"))
    assert path_texts(Look(state), wanted, cluster("south-1")) == (
        "checkout@south-1 -> 1 ready endpoint in south-1",
        "checkout@south-1 -> gw south-1 -(63.0 ms, Up)-> gw west-1 -> 4 ready endpoints",
        "checkout@south-1 -> gw south-1 -(Down)-> gw north-1",
    )


def test_a_way_that_leads_nowhere_says_where_it_ends() -> None:
    wanted = placement(needs=needs("payments"))
    rows = [
        structs.replace(export("b"), allowed=()),
        export("c", 0),
        export("d"),
        structs.replace(export("e"), is_fresh=False),
    ]
    state = snapshot(
        ["a", "b", "c", "e", cluster("d", cluster_set="test")],
        links=[link("a->b", 1.0), link("a->c", 1.0), link("a->e")],
        exports=rows,
        sets=(SetView(name="prod"), SetView(name="test")),
    )
    assert path_texts(Look(state), wanted, cluster("a")) == (
        "checkout@a -> gw a -(not measured, Up)-> gw e -> 2 ready endpoints",
        "checkout@a -> gw a -(Up)-> gw b: not allowed by its meshctl.dev/allow",
        "checkout@a -> gw a -(Up)-> gw c: no ready endpoint",
        "checkout@a -> gw a -(no row)-> gw d: connected by no ClusterSet",
    )
    assert path_texts(Look(snapshot(["a"])), wanted, cluster("a")) == (
        "checkout@a -> shop/payments: exported by no cluster",
    )


def test_a_planned_exporter_and_a_call_that_stays_are_told_as_such() -> None:
    brings = placement("shop/pay", exports=(PAY,), replicas=3)
    wanted = placement(needs=needs("payments"))
    look = Look(snapshot(["a", "b"], links=[link("a->b", 2.0)], placements=[brings]))
    look.decided("shop/pay", {"b": 3}, taken=())
    assert path_texts(look, wanted, cluster("a")) == (
        "checkout@a -> gw a -(2.0 ms, Up)-> gw b -> 3 planned endpoints",
    )
    own = structs.replace(export("a"), local_first=True)
    assert path_texts(Look(snapshot(["a"], exports=[own])), wanted, cluster("a"))[-1] == (
        "checkout@a: shop/payments is local-first, nothing leaves the cluster"
    )
