"""Endpoints that do not take connections are left alone for a growing while, and never too many of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway.ejection import FIRST, LONGEST, Ejection
from mesh_gateway.route import Address

PODS = tuple(Address(f"10.244.0.{last}", 8080) for last in range(1, 7))
ONE, TWO, THREE, FOUR = PODS[:4]


def test_the_rest_doubles_with_each_failure_up_to_a_minute() -> None:
    ejection, now, rests = Ejection(), 0.0, []
    for _ in range(9):
        ejection.failed(ONE, now=now)
        rest = next(rest for rest in range(1, 100) if not ejection.ejected(PODS, now=now + rest))
        rests.append(rest)
        now += rest
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert (rests[0], rests[-1]) == (FIRST, LONGEST)


def test_a_success_heals() -> None:
    ejection = Ejection()
    ejection.failed(ONE, now=0.0)
    ejection.failed(ONE, now=0.0)
    ejection.worked(ONE)
    assert not ejection.ejected(PODS, now=0.0)
    ejection.failed(ONE, now=0.0)
    assert ejection.ejected(PODS, now=0.9) == {ONE}
    assert not ejection.ejected(PODS, now=FIRST), "it begins anew"


def test_after_the_rest_one_caller_tries_and_the_others_keep_off() -> None:
    ejection = Ejection()
    ejection.failed(ONE, now=0.0)
    assert not ejection.ejected(PODS, now=FIRST)
    ejection.asked(ONE, now=FIRST)
    assert ejection.ejected(PODS, now=FIRST) == {ONE}


@pytest.mark.parametrize(
    ("failed", "endpoints", "left_alone"),
    [
        ((), PODS[:2], set()),
        ((ONE,), PODS[:1], set()),
        ((ONE,), PODS[:2], {ONE}),
        ((ONE,), PODS[:3], {ONE}),
        ((ONE, TWO), PODS[:2], set()),
        ((ONE, TWO), PODS[:3], {TWO}),
        ((ONE, TWO, TWO, THREE), PODS[:4], {TWO, THREE}),
        ((ONE, TWO, THREE, FOUR), PODS[:4], set()),
        ((ONE, TWO), PODS[2:], set()),
    ],
)
def test_at_most_half_are_left_alone_and_none_when_all_failed(
    failed: tuple[Address, ...], endpoints: tuple[Address, ...], left_alone: set[Address]
) -> None:
    ejection = Ejection()
    for number, endpoint in enumerate(failed):
        ejection.failed(endpoint, now=number / 100)
    assert ejection.ejected(endpoints, now=0.1) == left_alone


deeds = st.lists(
    st.tuples(
        st.sampled_from(["failed", "worked", "asked"]),
        st.sampled_from(PODS),
        st.floats(0.0, 100.0),
    ),
    max_size=30,
)


@given(deeds=deeds, count=st.integers(1, 6), later=st.floats(0.0, 200.0))
def test_whatever_happens_half_of_a_service_or_more_is_in_use(
    deeds: list[tuple[str, Address, float]], count: int, later: float
) -> None:
    ejection, now = Ejection(), 0.0
    for deed, endpoint, passed in deeds:
        now += passed
        match deed:
            case "failed":
                ejection.failed(endpoint, now=now)
            case "asked":
                ejection.asked(endpoint, now=now)
            case _:
                ejection.worked(endpoint)
    left_alone = ejection.ejected(PODS[:count], now=now + later)
    assert len(left_alone) <= count // 2
    assert left_alone <= set(PODS[:count])
    assert not ejection.ejected(PODS[:count], now=now + 2 * LONGEST + 1), "nobody is left alone for ever"


def test_only_so_many_addresses_are_remembered() -> None:
    ejection = Ejection()
    for number in range(5000):
        ejection.failed(Address(f"10.{number // 250}.0.{number % 250}", 80), now=0.0)
    assert ejection.count(now=0.0) == 4096
    assert ejection.count(now=FIRST) == 0
