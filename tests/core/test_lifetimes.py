"""When certificates are good and when they are renewed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.lifetimes import LEAF_LIFE, Window, retry_delay, window_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
jitters = st.floats(min_value=0, max_value=1, exclude_max=True)


def test_a_window_begins_five_minutes_ago() -> None:
    window = window_of(LEAF_LIFE, now=NOW)
    assert window.holds(NOW - timedelta(minutes=5))
    assert not window.holds(NOW - timedelta(minutes=5, seconds=1))
    assert window.holds(NOW + LEAF_LIFE)
    assert not window.holds(NOW + LEAF_LIFE + timedelta(seconds=1))


@given(jitter=jitters)
def test_renewal_lies_between_two_thirds_and_three_quarters_of_the_life(jitter: float) -> None:
    window = Window(start=NOW, end=NOW + timedelta(hours=24))
    assert NOW + timedelta(hours=16) <= window.renewal(jitter=jitter) <= NOW + timedelta(hours=18)


def test_a_window_within_another_ends_with_the_earlier() -> None:
    outer = Window(start=NOW, end=NOW + timedelta(hours=1))
    inner = window_of(LEAF_LIFE, now=NOW).within(outer)
    assert inner == outer


@pytest.mark.parametrize(("attempt", "whole"), [(0, 1), (1, 2), (5, 32), (6, 60), (5000, 60)])
def test_retries_double_up_to_a_minute(attempt: int, whole: float) -> None:
    assert retry_delay(attempt, jitter=0.0) == whole / 2
    assert whole / 2 < retry_delay(attempt, jitter=0.999) < whole
