"""Placements that need each other: who comes first, and rings that are decided as a whole."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as some
from msgspec import structs

from mesh_fakes.network_scene import both_ways, export, placement, snapshot
from mesh_placement.objects.placing import ServiceNeed
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.joint import (
    MOST_COMBINATIONS,
    joint_choice,
    network_score,
    parts_in_order,
)
from mesh_placement.schedule.network.service_reach import ServiceReach
from mesh_placement.schedule.snapshot import Wanted


def app(name: str, *needs: str, rtt: str = "") -> Wanted:
    """A placement that brings the service of its own name."""
    wanted = [ServiceNeed(name=one, max_rtt=rtt) for one in needs]
    return placement(f"shop/{name}", needs=wanted, exports=(f"shop/{name}",))


def test_who_is_needed_is_decided_first() -> None:
    assert parts_in_order([app("web", "cart"), app("cart", "db"), app("db")]) == (
        ("shop/db",),
        ("shop/cart",),
        ("shop/web",),
    )


def test_those_that_need_each_other_are_one_part() -> None:
    ring = [app("web", "a"), app("a", "b"), app("b", "c"), app("c", "a"), app("lone")]
    assert parts_in_order(ring) == (("shop/a", "shop/b", "shop/c"), ("shop/web",), ("shop/lone",))


def test_placements_that_need_nobody_here_keep_their_order() -> None:
    assert parts_in_order([app("z", "elsewhere"), app("y"), app("x")]) == (
        ("shop/z",),
        ("shop/y",),
        ("shop/x",),
    )


def test_a_chain_of_thousands_is_ordered_too() -> None:
    chain = [app(f"s{number}", f"s{number + 1}") for number in range(3000)]
    assert parts_in_order(chain)[0] == ("shop/s2999",)


@given(some.lists(some.tuples(some.integers(0, 6), some.integers(0, 6)), max_size=14))
def test_parts_are_exactly_those_that_reach_each_other_and_none_comes_before_what_it_needs(
    edges: list[tuple[int, int]],
) -> None:
    needs = {number: [to for source, to in edges if source == number] for number in range(7)}
    parts = parts_in_order([app(f"s{one}", *(f"s{to}" for to in tos)) for one, tos in needs.items()])
    reached = {one: {one} for one in needs}
    for _ in needs:
        for one in needs:
            reached[one] |= {far for to in needs[one] for far in reached[to]}
    place = {name: number for number, part in enumerate(parts) for name in part}
    assert sorted(place) == [f"shop/s{one}" for one in needs]
    for one, other in product(needs, needs):
        is_together = place[f"shop/s{one}"] == place[f"shop/s{other}"]
        assert is_together == (other in reached[one] and one in reached[other])
        if other in reached[one]:
            assert place[f"shop/s{other}"] <= place[f"shop/s{one}"]


prices = some.dictionaries(
    some.tuples(*[some.sampled_from("xyz")] * 3), some.one_of(some.none(), some.integers(0, 50).map(float))
)


@given(prices)
def test_of_few_combinations_the_best_is_chosen(prices: dict[tuple[str, ...], float | None]) -> None:
    parts = {name: "xyz" for name in "abc"}
    found = joint_choice(parts, score=lambda choice: prices.get(tuple(choice.values())))
    known = [one for one in prices.values() if one is not None]
    if not known:
        assert found is None
    else:
        assert found is not None
        assert prices[tuple(found.values())] == max(known)


def test_of_equal_combinations_the_first_is_chosen_and_nothing_comes_of_nothing() -> None:
    parts = {"a": ["x", "y"], "b": ["y", "x"]}
    assert joint_choice(parts, score=lambda _: 1.0) == {"a": "x", "b": "y"}
    assert joint_choice(parts, score=lambda _: None) is None
    assert joint_choice({"a": ["x"], "b": list[str]()}, score=lambda _: 1.0) is None
    assert joint_choice(dict[str, list[str]](), score=lambda _: 1.0) is None


def test_of_many_combinations_one_is_chosen_in_which_none_gains_alone() -> None:
    names = [f"s{number}" for number in range(20)]
    options = [f"c{number}" for number in range(10)]
    asked = 0

    def score(choice: dict[str, str]) -> float:
        nonlocal asked
        asked += 1
        ring = zip(choice.values(), [*list(choice.values())[1:], choice[names[0]]], strict=True)
        return float(sum(one == other for one, other in ring)) + 0.1 * sum(
            one == "c7" for one in choice.values()
        )

    found = joint_choice(dict.fromkeys(names, options), score=lambda choice: score(dict(choice)))
    assert found is not None
    assert asked < MOST_COMBINATIONS
    reached = score(dict(found))
    assert all(score({**found, name: one}) <= reached for name in names for one in options)
    assert set(found.values()) == {"c7"}


def test_two_that_need_each_other_are_placed_where_both_are_near() -> None:
    pair = [app("a", "b", rtt="20ms"), app("b", "a", rtt="20ms")]
    links = [
        *both_ways("east", "west", 60.0),
        *both_ways("east", "north", 10.0),
        *both_ways("north", "west", 15.0),
    ]
    look = Look(snapshot(["east", "north", "west"], links=links, placements=pair))
    alone = ServiceReach().reject(look, pair[0], look.snapshot.clusters)
    assert {one.code for one in alone.values()} == {"DependencyNotExported"}, "neither can come first"
    options = {"shop/a": [("east",), ("west",)], "shop/b": [("north",), ("west",), ("east",)]}

    def score(choice: dict[str, tuple[str, ...]]) -> float | None:
        return network_score(look, choice)

    assert network_score(look, {"shop/a": ("east",), "shop/b": ("west",)}) is None, "too far"
    near = joint_choice(
        {"shop/a": [("east",)], "shop/b": options["shop/b"][:2]}, score=lambda it: score(dict(it))
    )
    assert near == {"shop/a": ("east",), "shop/b": ("north",)}
    together = joint_choice(options, score=lambda it: score(dict(it)))
    assert together is not None
    assert together["shop/a"] == together["shop/b"], "nothing is nearer than the same cluster"


def test_a_supposition_leaves_the_look_as_it_was() -> None:
    pair = [app("a", "b"), app("b", "a")]
    look = Look(snapshot(["east"], exports=[export("east", service="shop/x")], placements=pair))
    assert network_score(look, {"shop/a": ("east",), "shop/b": ("east",)}) is not None
    assert look.placed == {"shop/a": {}, "shop/b": {}}
    assert not look.memo


def test_of_a_ring_one_was_in_a_cluster_that_is_gone_and_all_find_a_home_together() -> None:
    gone = placement("shop/a", needs=[ServiceNeed(name="b")], exports=("shop/a",), present=["gone"])
    plan = schedule(snapshot(["east"], placements=[gone, app("b", "a")]), BUILT_IN)
    assert {(one.placement, share.cluster) for one in plan.decisions for share in one.placed} == {
        ("shop/a", "east"),
        ("shop/b", "east"),
    }


def test_a_ring_is_decided_though_a_cluster_of_it_was_unregistered() -> None:
    """A KeyError there stopped the scheduling of everything."""
    cart = structs.replace(app("cart", "web"), current=placement(present=["gone"]).current)
    world = snapshot(["a", "b"], links=both_ways("a", "b", 1.0), placements=[app("web", "cart"), cart])
    found = {one.placement: len(one.placed) for one in schedule(world, BUILT_IN).decisions}
    assert found == {"shop/cart": 1, "shop/web": 1}
