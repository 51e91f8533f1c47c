"""Which streams an access log has: a law of their ids, so that both ends agree without a word."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.errors import UserError
from mesh_gateway.access_log import AccessLog, is_sampled

ids = st.text(max_size=32)
parts = st.floats(min_value=0, max_value=1)


@given(ids, parts, parts)
def test_who_samples_more_logs_whatever_the_other_one_logs(stream: str, one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert not is_sampled(stream, sample=less) or is_sampled(stream, sample=more)


@given(ids)
def test_nought_is_none_and_one_is_all(stream: str) -> None:
    assert is_sampled(stream, sample=1.0)
    assert not is_sampled(stream, sample=0.0)


@pytest.mark.parametrize("sample", [0.001, 0.01, 0.1, 0.5, 0.9])
def test_of_many_streams_the_sample_is_the_part_that_was_asked_for(sample: float) -> None:
    dice = random.Random(7)
    count = 100_000
    logged = sum(is_sampled(f"{dice.getrandbits(64):016x}", sample=sample) for _ in range(count))
    # Four standard deviations.
    assert abs(logged - count * sample) < 4 * (count * sample * (1 - sample)) ** 0.5


def test_it_is_off_unless_somebody_asks() -> None:
    assert not AccessLog().is_on
    assert AccessLog(0.01).is_on


@pytest.mark.parametrize("sample", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_number_that_is_no_part_is_refused(sample: float) -> None:
    with pytest.raises(UserError, match="from 0 to 1"):
        AccessLog(sample)
