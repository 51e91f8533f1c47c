"""Whose turn it is: clusters by exact weight, endpoints by open streams, silent clusters last."""

from collections import Counter
from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_core.identity import ClusterId, cluster_id
from mesh_gateway.balance import Weighted, least_open, next_turn
from mesh_gateway.silence import RETRY, Silence

EAST, WEST, NORTH = cluster_id("east"), cluster_id("west"), cluster_id("north")
weights = st.lists(st.integers(1, 50), min_size=1, max_size=6)


def targets_of(shares: list[int]) -> list[Weighted]:
    return [Weighted(cluster_id(f"c{number}"), share) for number, share in enumerate(shares)]


def picks(targets: list[Weighted], *, count: int) -> list[ClusterId]:
    credit: Mapping[ClusterId, int] = {}
    chosen = []
    for _ in range(count):
        turn = next_turn(targets, credit=credit)
        chosen.append(turn.order[0])
        credit = turn.credit
    return chosen


@settings(deadline=None)
@given(shares=weights)
def test_each_cluster_gets_exactly_its_weight_of_any_round(shares: list[int]) -> None:
    targets = targets_of(shares)
    total = sum(shares)
    chosen = picks(targets, count=3 * total)
    expected = {target.cluster: target.weight for target in targets}
    for start in (0, total, 2 * total):
        assert Counter(chosen[start : start + total]) == expected


def test_turns_are_interleaved() -> None:
    chosen = picks([Weighted(EAST, 3), Weighted(WEST, 1)], count=8)
    assert [str(cluster) for cluster in chosen] == ["east", "east", "west", "east"] * 2


@given(shares=weights, credits=st.lists(st.integers(-100, 100), max_size=6))
def test_every_cluster_is_tried_once_and_credit_is_kept_for_no_other(
    shares: list[int], credits: list[int]
) -> None:
    targets = targets_of(shares)
    credit = {cluster_id(f"c{number}"): value for number, value in enumerate(credits)}
    turn = next_turn(targets, credit=credit | {NORTH: 7})
    assert sorted(turn.order) == sorted(target.cluster for target in targets)
    assert turn.credit.keys() == set(turn.order)


def test_without_targets_there_is_nobody_to_try() -> None:
    assert next_turn([], credit={EAST: 1}).order == ()


def test_the_endpoint_with_the_fewest_open_streams_is_next() -> None:
    chosen = least_open(
        ["a", "b", "c"], open_streams={"a": 2, "b": 1, "c": 2}, pending={}, turn=0, without=set()
    )
    assert chosen == "b"


def test_what_is_being_opened_counts_as_open() -> None:
    chosen = least_open(["a", "b"], open_streams={"b": 1}, pending={"a": 2}, turn=0, without=set())
    assert chosen == "b"


def test_equal_endpoints_take_turns() -> None:
    chosen = [
        least_open(["a", "b", "c"], open_streams={}, pending={}, turn=turn, without=set())
        for turn in range(6)
    ]
    assert chosen == ["a", "b", "c", "a", "b", "c"]


def test_of_many_busy_endpoints_a_part_is_compared_and_each_gets_its_turn() -> None:
    endpoints = range(100)
    streams = dict.fromkeys(endpoints, 1)
    for turn in range(1000):
        chosen = least_open(endpoints, open_streams=streams, pending={}, turn=turn, without=set())
        assert chosen is not None
        streams[chosen] += 1
    assert max(streams.values()) - min(streams.values()) <= 3


@given(
    endpoints=st.lists(st.integers(0, 9), unique=True, max_size=6),
    streams=st.dictionaries(st.integers(0, 9), st.integers(0, 5)),
    turn=st.integers(0, 1000),
    without=st.sets(st.integers(0, 9)),
)
def test_an_endpoint_that_failed_is_not_chosen_again(
    endpoints: list[int], streams: dict[int, int], turn: int, without: set[int]
) -> None:
    chosen = least_open(endpoints, open_streams=streams, pending={}, turn=turn, without=without)
    left = [endpoint for endpoint in endpoints if endpoint not in without]
    assert (chosen is None) == (not left)
    if chosen is not None:
        assert chosen in left
        assert streams.get(chosen, 0) == min(streams.get(endpoint, 0) for endpoint in left)


def test_a_silent_cluster_is_left_alone_and_then_asked_by_one_caller() -> None:
    silence = Silence()
    assert not silence.holds(EAST, now=0.0)
    silence.unanswered(EAST, now=0.0)
    assert silence.holds(EAST, now=RETRY - 0.1)
    assert not silence.holds(EAST, now=RETRY)
    silence.asked(EAST, now=RETRY)
    assert silence.holds(EAST, now=RETRY), "the others keep off while one asks"
    silence.answered(EAST)
    assert not silence.holds(EAST, now=RETRY)


def test_asking_a_cluster_that_answers_keeps_nobody_off() -> None:
    silence = Silence()
    silence.asked(WEST, now=0.0)
    assert not silence.holds(WEST, now=0.0)
