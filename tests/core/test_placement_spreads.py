"""Several hard spreads at once, against trying every division there is: `schedule.several_spreads`."""

import itertools
from collections.abc import Sequence
from random import Random

import pytest
from msgspec.structs import replace

from mesh_fakes.random_snapshots import room
from mesh_placement.objects.placing import ClusterShare, PlacementSpec, Replicas, Require, SpreadTerm
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.dividers import Even
from mesh_placement.schedule.plugins import Slot
from mesh_placement.schedule.select import Candidate, Request, selected
from mesh_placement.schedule.several_spreads import Cell, within_all
from mesh_placement.schedule.sharing import shared
from mesh_placement.schedule.snapshot import Cluster, Demand, SetView, Snapshot, Wanted
from mesh_placement.schedule.spread import Spread
from mesh_placement.schedule.tries import Tries


def keeps(skews: Sequence[int], cells: Sequence[Cell], counts: Sequence[int]) -> bool:
    """Whether no value has too many, but for what it had."""
    for at, skew in enumerate(skews):
        sums: dict[str, int] = {}
        had: dict[str, int] = {}
        for cell, count in zip(cells, counts, strict=True):
            value = cell.values[at]
            sums[value], had[value] = sums.get(value, 0) + count, had.get(value, 0) + cell.had
        least = min(sums.values())
        if any(count > max(least + skew, had[value]) for value, count in sums.items()):
            return False
    return True


def most(skews: Sequence[int], cells: Sequence[Cell], total: int) -> int:
    """The largest sum that is possible."""
    tried = itertools.product(*(range(one.least, one.most + 1) for one in cells))
    return max((sum(some) for some in tried if sum(some) <= total and keeps(skews, cells, some)), default=0)


def random_cells(dice: Random, spreads: int) -> list[Cell]:
    values = {tuple(dice.choice("ab" if at else "xyz") for at in range(spreads)) for _ in range(5)}
    found = []
    for one in sorted(values):
        had = dice.choice((0, 0, 0, dice.randrange(3)))
        found.append(Cell(one, had, had + dice.randrange(5), had))
    return found


@pytest.mark.parametrize("spreads", [2, 3])
def test_as_many_are_placed_as_any_division_could(spreads: int) -> None:
    for seed in range(400):
        dice = Random(seed)
        cells, skews = random_cells(dice, spreads), [dice.randint(1, 2) for _ in range(spreads)]
        asked = [dice.randint(one.least, one.most) for one in cells]
        found = within_all(skews, cells, asked)
        assert keeps(skews, cells, found), seed
        assert all(one.least <= count <= one.most for one, count in zip(cells, found, strict=True)), seed
        assert sum(found) == most(skews, cells, sum(asked)), (seed, cells, skews, asked, found)


def test_a_provider_that_is_in_one_region_alone_does_not_cost_the_other_regions_replicas() -> None:
    regions = {"eu-a": "eu", "eu-b": "eu", "us-b": "us"}
    providers = {"eu-a": "a", "eu-b": "b", "us-b": "b"}
    slots = [Slot(name, room=10, score=9.0 if name == "eu-b" else 1.0) for name in regions]
    spreads = (Spread(1, regions), Spread(1, providers))
    assert shared(10, slots, divider=Even(), spreads=spreads) == {"eu-a": 5, "us-b": 5}


def test_what_two_rules_forbid_together_is_lacking_and_nothing_more() -> None:
    regions = {"one": "eu", "two": "us"}
    slots = [Slot("one", room=10), Slot("two", room=3)]
    spreads = (Spread(1, regions), Spread(2, regions))
    assert shared(10, slots, divider=Even(), spreads=spreads) == {"one": 4, "two": 3}


def test_what_runs_is_not_taken_away_for_a_second_rule() -> None:
    slots = [Slot("one", current=6, room=4), Slot("two", current=0, room=4)]
    spreads = (Spread(1, {"one": "eu", "two": "us"}), Spread(1, {"one": "a", "two": "b"}))
    assert shared(8, slots, divider=Even(), spreads=spreads) == {"one": 6, "two": 2}


def wide(number: int) -> tuple[list[Candidate], tuple[Spread, ...]]:
    """So many clusters, nearly each with values of its own in two spreads."""
    dice = Random(7)
    found = [Candidate(f"c{at:03}", score=dice.random(), room=dice.randrange(4)) for at in range(number)]
    spreads = tuple(Spread(1, {one.cluster: str(dice.randrange(number)) for one in found}) for _ in "ab")
    return found, spreads


@pytest.mark.parametrize("spreads", [0, 1, 2])
def test_a_choice_among_very_many_ways_ends_when_its_tries_are_spent(spreads: int) -> None:
    """Fifty of two hundred clusters of which none has room for all were tried for minutes."""
    candidates, rules = wide(200)
    request = Request("uid", count=50, replicas=1000, spreads=rules[:spreads], tries=Tries(200_000))
    chosen = selected(candidates, request)
    assert len(chosen) == 50
    assert -200_000 < request.tries.left <= 0, "one more exchange at most, of fifty choices of fifty"
    again = replace(request, tries=Tries(200_000))
    assert selected(candidates, again) == chosen


@pytest.mark.parametrize("steps", [1, 50_000])
def test_a_division_whose_tries_are_spent_exceeds_no_spread(steps: int) -> None:
    for seed in range(20):
        dice = Random(seed)
        values = {tuple(f"{at}{dice.randrange(12)}" for at in range(2)) for _ in range(80)}
        cells = [Cell(one, 0, dice.randrange(9), 0) for one in sorted(values)]
        asked = [dice.randint(0, one.most) for one in cells]
        found = within_all([1, 1], cells, asked, tries=Tries(steps))
        assert keeps([1, 1], cells, found), seed
        assert all(count <= one.most for one, count in zip(cells, found, strict=True)), seed


def test_who_might_have_more_with_more_tries_is_told_so() -> None:
    dice = Random(1)
    clusters = tuple(
        Cluster(
            f"c{at:03}",
            "prod",
            properties={"region": str(dice.randrange(30)), "provider": str(dice.randrange(30))},
            room=room([dice.randrange(16)]),
        )
        for at in range(300)
    )
    spread = tuple(
        SpreadTerm(property=one, when_unsatisfiable="DoNotSchedule") for one in ("region", "provider")
    )
    spec = PlacementSpec(
        cluster_sets=("prod",), replicas=Replicas(policy="Divide"), require=Require(spread=spread)
    )
    app = Wanted("shop/app", "app", spec, Demand(4000, {"cpu": 1000}))
    world = Snapshot(1e6, sets=(SetView("prod"),), clusters=clusters, placements=(app,))
    (decision,) = schedule(world, BUILT_IN).decisions
    assert decision.hold.endswith("; there are more ways to place them than are tried")


def test_a_weight_of_nothing_fills_no_value_of_a_spread() -> None:
    """Four of eight came to Europe, two of them to nobody, and America had two more than the skew allows."""
    weights = {"frankfurt": 1, "paris": 0, "boston": 1}
    rooms = {"frankfurt": 2, "paris": 8, "boston": 8}
    clusters = tuple(
        Cluster(
            one, "prod", properties={"region": "us" if one == "boston" else "eu"}, room=room([rooms[one]])
        )
        for one in sorted(rooms)
    )
    spec = PlacementSpec(
        cluster_sets=("prod",),
        replicas=Replicas(
            policy="Divide",
            by="Weighted",
            per_cluster={name: ClusterShare(weight=weight) for name, weight in weights.items()},
        ),
        require=Require(spread=(SpreadTerm(property="region", when_unsatisfiable="DoNotSchedule"),)),
    )
    app = Wanted("shop/app", "app", spec, Demand(8, {"cpu": 1000}))
    world = Snapshot(1e6, sets=(SetView("prod"),), clusters=clusters, placements=(app,))
    (decision,) = schedule(world, BUILT_IN).decisions
    assert {one.cluster: one.replicas for one in decision.placed} == {"frankfurt": 2, "boston": 3}
