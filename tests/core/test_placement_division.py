"""Laws of dividing replicas, by hypothesis and over twenty thousand random cases; tables for each divider."""

import itertools
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, floor
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from mesh_placement.schedule.dividers import BUILT_IN_DIVIDERS, Available, Even, Nearest, Pack, Weighted
from mesh_placement.schedule.dividers.bounded import Line, shares
from mesh_placement.schedule.dividers.steady import upper
from mesh_placement.schedule.plugins import Divider, Slot

DIVIDERS = pytest.mark.parametrize("divider", BUILT_IN_DIVIDERS, ids=lambda one: one.name)
CASES = 20_000


@some.composite
def slots(draw: some.DrawFn, *, most: int = 8) -> tuple[Slot, ...]:
    names = draw(some.lists(some.sampled_from("abcdefghij"), unique=True, max_size=most))
    return tuple(
        Slot(
            name,
            current=draw(some.integers(0, 8)),
            room=draw(some.integers(0, 12)),
            least=draw(some.integers(0, 3)),
            most=draw(some.none() | some.integers(0, 10)),
            weight=draw(some.integers(1, 5)),
            score=draw(some.sampled_from([0.0, 50.0, 100.0])),
            tier=draw(some.integers(0, 2)),
            latency=draw(some.none() | some.sampled_from([0.0, 5.0, 40.0])),
            tie=ord(name) * 7919 % 101,
        )
        for name in names
    )


def random_slots(dice: Random) -> tuple[Slot, ...]:
    return tuple(
        Slot(
            f"c{number}",
            current=dice.choice((0, 0, dice.randrange(20))),
            room=dice.randrange(40),
            least=dice.choice((0, 0, dice.randrange(4))),
            most=dice.choice((None, dice.randrange(30))),
            weight=dice.randrange(1, 10),
            score=float(dice.randrange(5)),
            tier=dice.choice((0, 0, 1, 2)),
            latency=dice.choice((None, dice.random() * 100)),
            tie=dice.getrandbits(64),
        )
        for number in range(dice.randrange(12))
    )


def settled(divided: Mapping[str, int], given: Sequence[Slot]) -> tuple[Slot, ...]:
    """The same clusters when the replicas are there: what they took is no room any more."""
    return tuple(
        replace(
            slot,
            current=divided.get(slot.cluster, 0),
            room=max(0, slot.current + slot.room - divided.get(slot.cluster, 0)),
        )
        for slot in given
    )


def moved(before: Mapping[str, int], after: Mapping[str, int]) -> int:
    return sum(abs(before.get(one, 0) - after.get(one, 0)) for one in before.keys() | after.keys())


def check_laws(divider: Divider, wanted: int, given: Sequence[Slot], gone: Sequence[Slot]) -> None:
    found = divider.divide(wanted, given)
    room = sum(map(upper, given))
    assert sum(found.values()) == min(wanted, room), "sum + shortfall = wanted"
    for slot in given:
        share = found.get(slot.cluster, 0)
        assert 0 <= share <= upper(slot)
        if sum(min(one.least, upper(one)) for one in given) <= wanted:
            assert share >= min(slot.least, upper(slot))
    assert divider.divide(wanted, given[::-1]) == found, "the order does not matter"
    there = settled(found, given)
    assert divider.divide(wanted, there) == found, "what is right stays"
    for other in (wanted - 1, wanted + 1):
        if other >= 0:
            after = divider.divide(other, there)
            assert moved(found, after) == abs(min(other, room) - min(wanted, room))
    for one in gone:
        rest = [slot for slot in there if slot.cluster != one.cluster]
        after = divider.divide(wanted, rest)
        assert all(after.get(slot.cluster, 0) >= found.get(slot.cluster, 0) for slot in rest)


@DIVIDERS
@given(given=slots(), wanted=some.integers(0, 60))
def test_the_laws_of_dividing_hold(divider: Divider, given: tuple[Slot, ...], wanted: int) -> None:
    check_laws(divider, wanted, given, given)


@DIVIDERS
def test_the_laws_of_dividing_hold_in_twenty_thousand_random_cases(divider: Divider) -> None:
    dice = Random(divider.name)
    for _ in range(CASES // len(BUILT_IN_DIVIDERS)):
        given = random_slots(dice)
        check_laws(divider, dice.randrange(120), given, given[:1])


LINES = some.builds(
    lambda least, more, weight: Line(least, least + more, weight),
    some.integers(0, 3),
    some.integers(0, 6),
    some.integers(1, 5),
)


def cut(level: Fraction, line: Line) -> float:
    return float(min(max(level * line.weight, Fraction(line.least)), Fraction(line.most)))


@given(some.lists(LINES, min_size=1, max_size=5), some.integers(0, 30))
def test_shares_between_bounds_are_the_proportion_rounded_down_or_up(lines: list[Line], total: int) -> None:
    """The slow way: the one level at which all shares, cut at their bounds, make the total."""
    total = min(max(total, sum(line.least for line in lines)), sum(line.most for line in lines))
    low, high = Fraction(0), Fraction(100)
    for _ in range(60):
        level = (low + high) / 2
        over = sum(cut(level, line) for line in lines) > total
        low, high = (low, level) if over else (level, high)
    found = shares(total, lines)
    assert sum(found) == total
    for line, share in zip(lines, found, strict=True):
        exact = cut(low, line)
        assert floor(exact + 1e-6) <= share <= ceil(exact - 1e-6)


@given(some.integers(1, 12), some.integers(0, 60))
def test_even_without_bounds_differs_by_at_most_one(number: int, wanted: int) -> None:
    found = Even().divide(wanted, [Slot(f"c{at}", room=100, tie=at) for at in range(number)])
    shares_found = [found.get(f"c{at}", 0) for at in range(number)]
    assert max(shares_found) - min(shares_found) <= 1


@given(given=slots(most=6), wanted=some.integers(1, 40))
def test_pack_uses_as_few_clusters_as_there_can_be(given: tuple[Slot, ...], wanted: int) -> None:
    free = [replace(slot, current=0, least=0, tier=0) for slot in given]
    used = len(Pack().divide(wanted, free))
    for number in range(used):
        rooms = (sum(map(upper, some_of)) for some_of in itertools.combinations(free, number))
        assert max(rooms, default=0) < min(wanted, sum(map(upper, free)))


SLOTS = (
    Slot("near", room=4, weight=1, latency=2.0, score=10, tie=1),
    Slot("far", room=12, weight=3, latency=80.0, score=90, tie=2),
    Slot("middle", room=8, weight=2, latency=20.0, score=50, tie=3),
)


@pytest.mark.parametrize(
    ("divider", "wanted", "found"),
    [
        (Even(), 7, {"far": 3, "middle": 2, "near": 2}),
        (Weighted(), 12, {"far": 6, "middle": 4, "near": 2}),
        (Available(), 12, {"far": 6, "middle": 4, "near": 2}),
        (Pack(), 12, {"far": 12}),
        (Pack(), 3, {"far": 3}),
        (Nearest(), 6, {"near": 4, "middle": 2}),
        (Nearest(), 30, {"near": 4, "middle": 8, "far": 12}),
    ],
)
def test_each_divider_does_what_its_name_says(divider: Divider, wanted: int, found: dict[str, int]) -> None:
    assert divider.divide(wanted, SLOTS) == found


def test_the_own_site_is_filled_first_and_emptied_last() -> None:
    site, cloud = Slot("site", room=4, tie=1), Slot("cloud", room=100, tier=1, score=100.0, tie=2)
    peak = Even().divide(10, [site, cloud])
    assert peak == {"site": 4, "cloud": 6}
    assert Even().divide(3, settled(peak, [site, cloud])) == {"site": 3}


def test_nearest_gives_up_the_farthest_first() -> None:
    there = settled(Nearest().divide(20, SLOTS), SLOTS)
    assert Nearest().divide(5, there) == {"near": 4, "middle": 1}


def test_shrinking_is_in_proportion_to_what_is_there() -> None:
    there = [Slot("a", current=9, room=9), Slot("b", current=3, room=9)]
    assert Even().divide(4, there) == {"a": 3, "b": 1}


def test_a_weight_of_nothing_gets_its_least_and_keeps_what_it_has() -> None:
    none = [Slot("a", room=9, weight=0, least=1), Slot("b", room=2), Slot("c", current=2, room=9, weight=0)]
    assert Weighted().divide(9, none) == {"a": 1, "b": 2, "c": 2}


def test_too_few_replicas_for_all_minimums_are_no_more_than_there_are() -> None:
    found = Even().divide(3, [Slot("a", room=9, least=2), Slot("b", room=9, least=2, tier=1)])
    assert found == {"a": 2, "b": 1}
