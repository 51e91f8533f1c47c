"""Whether a hub keeps its pace, of values alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_placement.decide.overload import CYCLE, MOST, WAIT, WINDOW, Load, LoadBook, LoadReason


def book(*cycles: float, waits: tuple[float, ...] = ()) -> LoadBook:
    """Cycles that took so long, one a second, and waits beside them."""
    made = LoadBook()
    for at, seconds in enumerate(cycles):
        made.begin(at - seconds)
        made.end(at)
    for at, seconds in enumerate(waits):
        made.waited(seconds, now=at)
    return made


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (Load(), LoadReason.KEEPS_PACE),
        (Load(cycle_p99=CYCLE, wait_p99=WAIT), LoadReason.KEEPS_PACE),
        (Load(cycle_p99=CYCLE + 0.1), LoadReason.SLOW_CYCLES),
        (Load(cycle_now=CYCLE + 0.1), LoadReason.SLOW_CYCLES),
        (Load(wait_p99=WAIT + 0.1), LoadReason.LONG_QUEUE),
        (Load(wait_now=WAIT + 0.1), LoadReason.LONG_QUEUE),
        (Load(cycle_p99=CYCLE + 0.1, wait_p99=WAIT + 0.1), LoadReason.SLOW_CYCLES),
    ],
)
def test_it_is_overloaded_when_cycles_or_waits_are_too_long(load: Load, reason: LoadReason) -> None:
    assert load.reason is reason
    assert load.is_overloaded is (reason is not LoadReason.KEEPS_PACE)


def test_one_slow_cycle_of_a_hundred_is_none_and_two_are() -> None:
    assert book(*[0.1] * 99, 60.0).load(100.0, oldest=None).cycle_p99 < 1
    assert book(*[0.1] * 98, 60.0, 60.0).load(100.0, oldest=None).cycle_p99 > 59


def test_what_was_slow_counts_until_it_is_out_of_the_window() -> None:
    made = book(20.0)
    assert made.load(WINDOW - 1, oldest=None).is_overloaded
    assert not made.load(WINDOW + 1, oldest=None).is_overloaded


def test_a_cycle_that_does_not_end_and_what_nobody_takes_up_are_seen_while_they_last() -> None:
    made = LoadBook()
    made.begin(10.0)
    assert made.load(16.0, oldest=None).reason is LoadReason.SLOW_CYCLES
    made.end(16.0)
    assert LoadBook().load(100.0, oldest=60.0).reason is LoadReason.LONG_QUEUE


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=200))
def test_a_hundredth_at_most_was_slower(waits: list[float]) -> None:
    made = LoadBook()
    for seconds in waits:
        made.waited(seconds, now=0.0)
    found = made.load(1.0, oldest=None).wait_p99
    assert found in waits
    assert sum(seconds > found for seconds in waits) <= len(waits) / 100


def test_of_very_many_samples_the_newest_count() -> None:
    made = LoadBook()
    for seconds in (99.0, *[1.0] * MOST):
        made.waited(seconds, now=0.0)
    assert made.load(1.0, oldest=None).wait_p99 == 1.0
