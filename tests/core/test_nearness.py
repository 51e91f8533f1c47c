"""Which cluster comes first, and that two of about the same distance do not change places all the time."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from mesh_dns.nearness import HOLD, LEAST, Nearness

NEAR, MIDDLE, FAR = 10_000, 20_000, 40_000


def at(now: float, near: Nearness, **rtts: int) -> Nearness:
    return near.after(rtts, now=now)


def test_at_first_peers_are_in_the_order_of_their_round_trips_and_equal_ones_by_id() -> None:
    near = at(0, Nearness(), west=FAR, east=NEAR, south=MIDDLE, north=MIDDLE, unknown=0)
    assert near.order == ("east", "north", "south", "west")
    assert near.places() == {"east": 1, "north": 2, "south": 3, "west": 4, "unknown": 5}
    assert near.due(now=0) is None


def test_a_new_peer_has_its_place_at_once_and_one_that_goes_leaves_no_gap() -> None:
    near = at(0, Nearness(), east=NEAR, west=FAR)
    near = at(1, near, east=NEAR, west=FAR, north=MIDDLE)
    assert near.order == ("east", "north", "west")
    assert at(2, near, west=FAR, north=MIDDLE).order == ("north", "west")


def test_a_peer_passes_another_when_it_has_been_clearly_nearer_for_long_enough() -> None:
    near = at(0, Nearness(), east=NEAR, west=FAR)
    near = at(100, near, east=FAR, west=NEAR)
    assert near.order == ("east", "west")
    assert near.due(now=100) == HOLD
    near = at(99 + HOLD, near, east=FAR, west=NEAR)
    assert near.order == ("east", "west")
    near = at(100 + HOLD, near, east=FAR, west=NEAR)
    assert near.order == ("west", "east")
    assert near.due(now=100 + HOLD) is None


def test_a_break_begins_the_time_again() -> None:
    near = at(0, Nearness(), east=NEAR, west=FAR)
    near = at(10, near, east=FAR, west=NEAR)
    near = at(9 + HOLD, near, east=NEAR, west=NEAR)
    near = at(10 + HOLD, near, east=FAR, west=NEAR)
    assert near.order == ("east", "west")
    assert near.due(now=10 + HOLD) == HOLD


def test_a_fifth_or_two_milliseconds_less_are_not_clearly_nearer() -> None:
    for west, passes in ((NEAR - LEAST, True), (NEAR - LEAST + 1, False)):
        near = at(0, Nearness(), east=NEAR - 1, west=NEAR)
        near = at(1, near, east=NEAR, west=west)
        assert (at(1 + HOLD, near, east=NEAR, west=west).order == ("west", "east")) is passes
    near = at(0, Nearness(), east=100_000, west=100_001)
    for west, passes in ((80_001, False), (80_000, True)):
        later = at(1, near, east=100_000, west=west)
        assert (at(1 + HOLD, later, east=100_000, west=west).order[0] == "west") is passes
    near = at(0, Nearness(), east=1_000, west=1_500)
    near = at(1, near, east=1_500, west=300)
    assert at(1 + HOLD, near, east=1_500, west=300).order == ("east", "west"), "next door, both of them"


def test_one_that_is_not_measured_any_more_keeps_its_place() -> None:
    near = at(0, Nearness(), east=NEAR, west=FAR)
    near = at(1, near, east=0, west=FAR)
    assert near.order == ("east", "west")
    assert at(2, near, east=0, west=FAR).rtts["east"] == NEAR


def test_one_may_pass_several_at_once() -> None:
    near = at(0, Nearness(), a=NEAR, b=MIDDLE, c=FAR)
    near = at(1, near, a=NEAR, b=MIDDLE, c=1_000)
    assert at(1 + HOLD, near, a=NEAR, b=MIDDLE, c=1_000).order == ("c", "a", "b")


CLUSTERS = st.fixed_dictionaries({name: st.integers(0, 100_000) for name in "abcd"})


@given(st.lists(st.tuples(CLUSTERS, st.integers(0, 120)), min_size=1, max_size=20))
def test_whatever_is_measured_nobody_passes_one_that_it_was_not_clearly_nearer_than(
    steps: list[tuple[Mapping[str, int], int]],
) -> None:
    near, now = Nearness(), 0.0
    for rtts, wait in steps:
        now += wait
        before, near = near, near.after(rtts, now=now)
        assert set(near.order) == {name for name in rtts if near.rtts[name]}
        for behind in before.order:
            for front in before.order[: before.order.index(behind)]:
                if near.order.index(behind) < near.order.index(front):
                    gained = near.rtts[front] - near.rtts[behind]
                    assert gained >= LEAST and gained * 5 >= near.rtts[front]
                    assert now - before.since[front, behind] >= HOLD
        assert near.due(now=now) is None or 0 < (near.due(now=now) or 0) <= HOLD
    still = near
    for _ in range(6):
        now += HOLD
        still = still.after(near.rtts, now=now)
    assert still.after(near.rtts, now=now + HOLD).order == still.order, "it comes to rest"
