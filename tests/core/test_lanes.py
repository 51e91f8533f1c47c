"""How many ways to the gateways kube-proxy gets (ruling 22)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.lanes import MOST_LANES, TOLERANCE, Division, Lanes, best, chosen, is_off, wanted_lanes

divisions = st.builds(
    Division, local=st.integers(0, 60), remote=st.integers(0, 300), gateways=st.integers(0, 5)
)
lanes = st.builds(Lanes, lanes=st.integers(1, MOST_LANES), gateways=st.integers(1, 6))


def off(division: Division, present: Lanes) -> float:
    return abs(division.share_with(present) - division.share)


@pytest.mark.parametrize(
    ("local", "remote", "gateways", "wanted"),
    [
        # The case of the ruling: three pods here, one there, and a second gateway must not make it 3:2.
        (3, 1, 2, Lanes(1, 1)),
        (2, 2, 2, Lanes(1, 2)),
        (1, 1, 2, Lanes(1, 1)),
        (2, 4, 2, Lanes(2, 2)),
        (2, 6, 1, Lanes(6, 1)),
        (1, 100, 2, Lanes(8, 2)),
        (0, 5, 3, Lanes(1, 3)),
        (5, 0, 3, Lanes(1, 3)),
        (3, 3, 0, Lanes(1, 1)),
    ],
)
def test_the_mesh_gets_the_share_of_its_endpoints(
    local: int, remote: int, gateways: int, wanted: Lanes
) -> None:
    assert best(Division(local=local, remote=remote, gateways=gateways)) == wanted


def test_three_pods_here_and_one_there_share_three_to_one_whatever_the_number_of_gateways() -> None:
    for gateways in range(1, 6):
        division = Division(local=3, remote=1, gateways=gateways)
        assert division.share_with(best(division)) == division.share == 0.25


@given(division=divisions)
def test_with_as_many_gateways_nothing_comes_nearer_to_the_right_share(division: Division) -> None:
    found = best(division)
    assert 1 <= found.lanes <= MOST_LANES
    assert 1 <= found.gateways <= max(division.gateways, 1)
    if not (division.local and division.remote and division.gateways):
        assert found.lanes == 1
        return
    assert found.gateways <= division.remote, "no more ways than endpoints behind them"
    for number in range(1, MOST_LANES + 1):
        assert off(division, found) <= off(division, Lanes(number, found.gateways)) + 1e-9


@given(division=divisions)
def test_as_many_gateways_are_listed_as_give_the_share_within_the_tolerance(division: Division) -> None:
    """One that dies then takes least with it; only where none is near enough does nearness decide alone."""
    found = best(division)
    near = TOLERANCE * division.share
    for gateways in range(1, min(division.gateways, division.remote) + 1):
        for number in range(1, MOST_LANES + 1):
            other = off(division, Lanes(number, gateways))
            if gateways > found.gateways:
                assert other > near
            if off(division, found) > near:
                assert other >= off(division, found) - 1e-9


@given(division=divisions, present=lanes)
def test_what_is_there_stays_within_the_tolerance_on_as_many_gateways(
    division: Division, present: Lanes
) -> None:
    near = off(division, present) <= TOLERANCE * division.share
    if division.local and near and present.gateways >= best(division).gateways:
        kept = wanted_lanes(present, division=division, settled=True)
        assert kept.lanes == present.lanes
        assert kept.gateways == max(1, min(present.gateways, division.gateways))


@pytest.mark.parametrize(("local", "remote"), [(1, 100), (10, 2), (2, 4), (3, 30)])
def test_a_gateway_that_was_away_for_a_moment_comes_back(local: int, remote: int) -> None:
    """Within the tolerance nothing else would bring it back: each rollout would leave fewer of them."""
    both = Division(local=local, remote=remote, gateways=2)
    one = Division(local=local, remote=remote, gateways=1)
    before = best(both)
    without = wanted_lanes(before, division=one, settled=False)
    assert without == Lanes(before.lanes, 1)
    assert wanted_lanes(without, division=both, settled=False) == without, "in its time"
    assert wanted_lanes(without, division=both, settled=True) == before


def test_when_all_gateways_were_away_nothing_is_waited_for() -> None:
    """There is no traffic to spare."""
    division = Division(local=2, remote=4, gateways=2)
    assert wanted_lanes(Lanes(2, 0), division=division, settled=False) == best(division)


@given(division=divisions, present=lanes)
def test_what_is_there_stays_until_it_has_been_off_for_long_enough(
    division: Division, present: Lanes
) -> None:
    kept = wanted_lanes(present, division=division, settled=False)
    if division.local:
        assert kept.lanes == present.lanes
        assert kept.gateways == max(1, min(present.gateways, division.gateways))
    else:
        assert kept == best(division), "nothing is divided, so nothing is waited for"


@given(division=divisions, present=lanes)
def test_a_change_ends_the_need_for_one(division: Division, present: Lanes) -> None:
    after = wanted_lanes(present, division=division, settled=True)
    assert not is_off(after, division=division) or not division.local
    assert wanted_lanes(after, division=division, settled=True) == after
    more = after.gateways > present.gateways
    assert more or off(division, after) <= off(division, present) + 1e-9 or not division.local


@given(division=divisions)
def test_without_slices_there_is_nothing_to_wait_for(division: Division) -> None:
    assert wanted_lanes(None, division=division, settled=False) == best(division)


def test_services_spread_over_the_gateways_that_are_listed() -> None:
    gateways = ("10.1.0.1", "10.1.0.2", "10.1.0.3")
    one_each = [chosen(gateways, number=1, service=f"demo/s{number}") for number in range(200)]
    assert {gateway for (gateway,) in one_each} == set(gateways)


@given(
    gateways=st.lists(st.integers(1, 200).map("10.1.0.{}".format), unique=True, min_size=1, max_size=6),
    number=st.integers(1, 6),
)
def test_a_gateway_that_goes_moves_only_what_was_on_it(gateways: list[str], number: int) -> None:
    before = chosen(gateways, number=number, service="demo/hello")
    assert before == tuple(sorted(before)) == chosen(gateways[::-1], number=number, service="demo/hello")
    for gone in gateways:
        after = chosen([g for g in gateways if g != gone], number=number, service="demo/hello")
        assert set(before) - {gone} <= set(after)
