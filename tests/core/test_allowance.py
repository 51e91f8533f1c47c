"""What one peer may make us write."""

from hypothesis import given
from hypothesis import strategies as st

from mesh_core.allowance import BURST, LEAST, RATE, Allowance


def test_a_burst_of_a_whole_list_is_read_at_once() -> None:
    assert Allowance().spend(BURST, now=0.0) == 0.0


def test_who_has_spent_it_waits_as_long_as_it_takes_to_fill() -> None:
    allowance = Allowance()
    allowance.spend(BURST, now=0.0)
    assert allowance.spend(RATE, now=0.0) == 1.0
    assert allowance.spend(RATE, now=2.0) == 0.0


def test_small_messages_count_as_writes() -> None:
    allowance = Allowance(left=0.0)
    assert allowance.spend(1, now=0.0) == LEAST / RATE


@given(sizes=st.lists(st.integers(0, 1 << 20), min_size=1, max_size=200))
def test_whoever_waits_as_told_never_takes_more_than_the_burst_and_the_rate(sizes: list[int]) -> None:
    allowance, now, taken = Allowance(), 0.0, 0
    for size in sizes:
        now += allowance.spend(size, now=now)
        taken += max(size, LEAST)
        assert taken <= BURST + RATE * now + 1e-3 * taken
