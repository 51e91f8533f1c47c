"""What a cluster is worth by what it is and has, and which are chosen for it."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from mesh_fakes.random_snapshots import COST, REGION, room
from mesh_placement.objects.placing import PlacementSpec, Require, SpreadTerm, Toleration
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.plugins import Score
from mesh_placement.schedule.scores import (
    BUILT_IN_SCORES,
    Balance,
    Cost,
    Fragmentation,
    Spread,
    Steady,
    Taint,
)
from mesh_placement.schedule.select import Candidate, Request, selected, worth
from mesh_placement.schedule.snapshot import (
    Cluster,
    Demand,
    HeldTaint,
    Reservation,
    Share,
    Snapshot,
    Wanted,
)
from mesh_placement.schedule.spread import Spread as Rule

APP = Wanted("shop/app", "u", PlacementSpec(cluster_sets=("prod",)), Demand(1, {"cpu": 1000}))


def cluster(name: str, cpus: Sequence[int] = (4,)) -> Cluster:
    return Cluster(name, "prod", room=room(list(cpus)))


def scored(score: Score, *clusters: Cluster, app: Wanted = APP, taken: int = 0) -> dict[str, float]:
    held = tuple(
        Reservation("shop/other", one.name, 1, {"cpu": 1000}, taken, 10.0) for one in clusters[:1] if taken
    )
    look = Look(Snapshot(1.0, clusters=clusters, placements=(app,), reservations=held))
    return {name: round(points, 1) for name, points in score.score(look, app, clusters).items()}


def test_balance_is_what_the_scarcest_resource_leaves() -> None:
    # Half of each cluster is taken already, and a replica takes one cpu more of 2 x 4, of 2 x 8.
    assert scored(Balance(), cluster("a"), cluster("b", [8])) == {"a": 37.5, "b": 43.8}
    assert scored(Balance(), cluster("a"), taken=2) == {"a": 12.5}
    assert scored(Balance(), replace(cluster("a"), room=None)) == {}


def test_fragmentation_keeps_large_nodes_whole() -> None:
    assert scored(Fragmentation(), cluster("a", [2, 2]), cluster("b", [8])) == {"a": 50.0, "b": 12.5}


@pytest.mark.parametrize(
    ("priority", "points"), [(0, [100.0, 0.0, 0.0]), (1000, [100.0, 50.0, 50.0]), (10**9, [100.0] * 3)]
)
def test_a_low_priority_looks_at_the_price_and_a_high_one_does_not(
    priority: int, points: list[float]
) -> None:
    clusters = [cluster("a"), cluster("b"), cluster("c")]
    priced = [
        replace(one, properties={COST: price})
        for one, price in zip(clusters, ("1", "3", "dear"), strict=True)
    ]
    found = scored(Cost(), *priced, app=replace(APP, priority=priority))
    assert list(found.values()) == points


@pytest.mark.parametrize("absurd", ["-1e18", "1e18"])
def test_one_absurd_price_does_not_make_all_others_equal(absurd: str) -> None:
    prices = {"a": "1", "b": "2", "c": "3", "x": absurd}
    priced = [replace(cluster(name), properties={COST: price}) for name, price in prices.items()]
    found = scored(Cost(), *priced)
    assert found["a"] > found["b"] > found["c"] >= found["x"]


def test_a_taint_that_only_prefers_costs_points_where_it_is_not_tolerated() -> None:
    tainted = replace(cluster("b"), taints=(HeldTaint("dirty", "PreferNoSchedule"),))
    assert scored(Taint(), cluster("a"), tainted) == {"a": 100.0, "b": 50.0}
    bears = PlacementSpec(cluster_sets=("prod",), require=Require(tolerations=(Toleration(key="dirty"),)))
    assert scored(Taint(), tainted, app=replace(APP, spec=bears)) == {"b": 100.0}


def test_it_is_rather_where_it_is_and_rather_where_a_value_has_little_of_it() -> None:
    soft = SpreadTerm(property=REGION, when_unsatisfiable="ScheduleAnyway")
    spec = PlacementSpec(cluster_sets=("prod",), require=Require(spread=(soft,)))
    app = replace(APP, spec=spec, current=(Share("a", 3), Share("b", 1)))
    regions = ("eu", "us", "ap")
    clusters = [
        replace(cluster(name), properties={REGION: region})
        for name, region in zip("abc", regions, strict=True)
    ]
    assert scored(Steady(), *clusters, app=app) == {"a": 100.0, "b": 100.0}
    assert scored(Spread(), *clusters, app=app) == {"a": 25.0, "b": 75.0, "c": 100.0}
    assert scored(Spread(), *clusters) == {}


@pytest.mark.parametrize("score", BUILT_IN_SCORES, ids=lambda one: one.name)
def test_points_are_between_nothing_and_a_hundred(score: Score) -> None:
    many = [cluster(name, [size]) for size, name in enumerate("abcdef")]
    assert all(0 <= points <= 100 for points in scored(score, *many, taken=9).values())


@some.composite
def requests(draw: some.DrawFn) -> tuple[list[Candidate], Request]:
    names = draw(some.lists(some.sampled_from("abcdefg"), unique=True, min_size=1))
    candidates = [
        Candidate(
            name,
            score=float(draw(some.integers(0, 20))),
            tier=draw(some.integers(0, 1)),
            room=draw(some.integers(0, 5)),
        )
        for name in names
    ]
    values = {name: draw(some.sampled_from(["eu", "us", "ap"])) for name in names}
    rule = Rule(draw(some.integers(1, 2)), values)
    spreads = (rule,) if draw(some.booleans()) else ()
    replicas = draw(some.none() | some.integers(1, 12))
    return candidates, Request("u", draw(some.integers(1, 5)), replicas, spreads)


@given(requests())
def test_no_other_choice_is_better(asked: tuple[list[Candidate], Request]) -> None:
    candidates, request = asked
    found = selected(candidates, request)
    assert len(found) <= (request.count or 0)
    for size in range(min(len(candidates), request.count or 0) + 1):
        for other in itertools.combinations(candidates, size):
            assert worth(other, request) <= worth(found, request)


@given(requests())
def test_the_order_of_the_clusters_does_not_matter(asked: tuple[list[Candidate], Request]) -> None:
    candidates, request = asked
    assert selected(candidates[::-1], request) == selected(candidates, request)
