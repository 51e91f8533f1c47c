"""Several hard spreads at once, against trying every division there is: `schedule.several_spreads`."""

import itertools
from collections.abc import Sequence
from random import Random

import pytest

from mesh_placement.schedule.dividers import Even
from mesh_placement.schedule.plugins import Slot
from mesh_placement.schedule.several_spreads import Cell, within_all
from mesh_placement.schedule.sharing import shared
from mesh_placement.schedule.spread import Spread


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
