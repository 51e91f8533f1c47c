"""How long the way is that pings take."""

import pytest

from mesh_gateway.pings import Pings


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def measured(clock: Clock, pings: Pings, *took: float) -> None:
    """One ping after the other, each answered after so many seconds."""
    for seconds in took:
        number = pings.new()
        pings.sent(number)
        clock.now += seconds
        assert pings.answered(number)


def test_the_quickest_of_the_last_ten_counts_and_the_last_is_known_too() -> None:
    clock = Clock()
    pings = Pings(clock)
    assert (pings.rtt, pings.last) == (None, 0.0)
    measured(clock, pings, 0.001, *[0.004] * 9)
    assert pings.rtt == pytest.approx(0.001)
    measured(clock, pings, 0.005)
    assert pings.rtt == pytest.approx(0.004)
    assert pings.last == pytest.approx(0.005)


def test_a_way_of_a_quarter_millisecond_is_one_and_no_way_takes_no_time() -> None:
    clock = Clock()
    pings = Pings(clock)
    measured(clock, pings, 0.00025)
    assert pings.rtt == pytest.approx(0.00025)
    measured(clock, pings, 0.0)
    assert pings.rtt == 1e-6, "0 would say that nobody measured"


def test_three_follow_one_another_at_first() -> None:
    clock = Clock()
    pings = Pings(clock)
    found = []
    for _ in range(4):
        found.append(pings.is_settling)
        measured(clock, pings, 0.001)
    assert found == [True, True, True, False]


def test_an_answer_ends_older_pings_and_not_younger_ones() -> None:
    clock = Clock()
    pings = Pings(clock)
    numbers = []
    for _ in range(3):
        numbers.append(pings.new())
        pings.sent(numbers[-1])
        clock.now += 1
    assert pings.answered(numbers[1])
    assert pings.out == 1
    assert pings.rtt == pytest.approx(2.0)
    assert not pings.answered(numbers[0]), "nobody waits for that one any more"
    assert pings.answered(numbers[2])


def test_what_nobody_asked_is_no_answer() -> None:
    pings = Pings(Clock())
    assert not pings.answered(7)
    assert pings.rtt is None


def test_who_never_answers_makes_us_remember_no_more_than_65() -> None:
    pings = Pings(Clock())
    for number in range(1, 1000):
        pings.sent(number)
        assert pings.is_full == (number > 64)
    assert pings.out == 65
    assert not pings.answered(1), "the oldest is forgotten"
    assert pings.answered(999)


def test_numbers_are_new_and_not_the_one_that_is_taken() -> None:
    pings = Pings(Clock())
    for number in {pings.new(but=5) for _ in range(100)}:
        assert 0 < number < 1 << 32
        assert number != 5
