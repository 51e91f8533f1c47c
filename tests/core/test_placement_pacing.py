"""What members say has the hub decide at most half of the time: `hub.placing.pacing`."""

from hypothesis import given
from hypothesis import strategies as st

from mesh_placement.hub.placing.pacing import Pace


def test_the_first_news_wait_for_nothing() -> None:
    assert Pace().rest(100.0, least=0.1) == 0.0


def test_after_a_cycle_it_rests_as_long_as_that_took() -> None:
    pace = Pace()
    pace.begin(10.0)
    pace.end(13.0)
    assert [pace.rest(now, least=0.1) for now in (13.0, 15.0, 16.0)] == [3.0, 1.0, 0.0]


@given(st.floats(0.0, 1e3), st.floats(0.0, 1e3))
def test_whoever_asks_in_the_middle_of_a_cycle_never_sleeps_longer_than_its_rest(
    asked: float, more: float
) -> None:
    pace, least = Pace(), 0.1
    pace.begin(0.0)
    wait = pace.rest(asked, least=least)
    took = asked + more
    pace.end(took)
    assert wait >= least, "nobody turns while a cycle runs"
    assert asked + wait <= max(2 * took, asked + least) + 1e-6


def test_a_cycle_that_never_began_has_no_rest() -> None:
    pace = Pace()
    pace.end(5.0)
    assert pace.rest(5.0, least=0.1) == 0.0
