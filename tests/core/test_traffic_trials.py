"""From tries of what a placement calls to one word about it, and what a Placement says of all clusters."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.objects import Condition, Meta
from mesh_placement.decide.placement_conditions import traffic_verified
from mesh_placement.decide.traffic_trial import (
    RARELY,
    SOON,
    TRAFFIC_VERIFIED,
    UNTRIED,
    Attempt,
    Outcome,
    Trial,
    Verdict,
    after,
    begun,
    condition,
    may_be_tried,
    pause,
)
from mesh_placement.objects import (
    Assignment,
    AssignmentSpec,
    AssignmentStatus,
    PlacedCluster,
    PlacementStatus,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAY, CART = "shop/payments", "shop/cart"
OK, BAD, NOT = Attempt(PAY, "Reached"), Attempt(PAY, "Failed", "reset"), Attempt(PAY, "Untried", "no DNS")
OTHER = Attempt(CART, "Reached")


def word(*tries: Sequence[Attempt], begin: Verdict = "") -> Trial:
    trial = Trial("u", begin)
    for number, one in enumerate(tries):
        trial = after(trial, one, revision=number)
    return trial


TRIES: list[tuple[Verdict, list[list[Attempt]], Verdict, float]] = [
    ("", [[OK, OTHER]], "True", RARELY),
    ("", [[BAD, OTHER]], "", SOON),
    ("", [[BAD], [BAD]], "False", SOON),
    ("", [[BAD], [OK]], "True", RARELY),
    ("", [[BAD], [OK], [BAD]], "True", SOON),
    ("", [[BAD], [NOT], [BAD]], "Unknown", SOON),
    ("", [[NOT, OTHER]], "Unknown", UNTRIED),
    ("", [[NOT, BAD]], "", SOON),
    ("", [[NOT], [OK]], "True", RARELY),
    ("True", [[BAD]], "True", SOON),
    ("True", [[BAD], [BAD]], "False", SOON),
    ("True", [[NOT]], "True", RARELY),
    ("False", [[NOT]], "Unknown", UNTRIED),
    ("False", [[OK]], "True", RARELY),
]


@pytest.mark.parametrize(("begin", "tries", "verdict", "next_one"), TRIES)
def test_one_good_try_is_enough_and_two_bad_ones_in_a_row_are_too_many(
    begin: Verdict, tries: list[list[Attempt]], verdict: Verdict, next_one: float
) -> None:
    found = word(*tries, begin=begin)
    assert (found.verdict, pause(found)) == (verdict, next_one)


attempts = st.lists(
    st.builds(Attempt, st.sampled_from((PAY, CART)), st.sampled_from(get_args(Outcome)), st.text()),
    min_size=1,
    max_size=70,
)


@given(st.lists(attempts, max_size=6))
def test_all_reached_is_true_and_two_failures_in_a_row_are_false(
    tries: list[list[Attempt]],
) -> None:
    trial, before = Trial("u"), ""
    row = 0
    for one in tries:
        trial = after(trial, one, revision=1)
        failed = any(each.outcome == "Failed" for each in one)
        row = row + 1 if failed else 0
        if trial.verdict == "True" and before != "True":
            assert all(each.outcome == "Reached" for each in one)
        if trial.verdict == "False" and before != "False":
            assert row >= 2
        assert SOON <= pause(trial) <= RARELY
        assert len(trial.message) <= 512
        before = trial.verdict


def assignment(verified: str = "", *, calls: tuple[str, ...] = (PAY,), health: str = "Healthy") -> Assignment:
    applied = Condition(type="Applied", status="True", reason="Applied", observed_generation=3)
    told = Condition(type=TRAFFIC_VERIFIED, status=verified, reason="x", message=f"{PAY}: reset")
    conditions = (applied, told) if verified else (applied,)
    status = AssignmentStatus(applied=7, health=health, traffic_verified=verified, conditions=conditions)
    meta = Meta(name="shop.app", uid="u", generation=3)
    return Assignment(metadata=meta, spec=AssignmentSpec(revision=7, calls=calls), status=status)


def test_it_is_tried_when_its_workloads_are_ready_and_it_calls_anything() -> None:
    assert may_be_tried(assignment())
    assert not may_be_tried(assignment(calls=()))
    assert not may_be_tried(assignment(health="Progressing"))


def test_an_agent_that_starts_again_goes_on_from_what_it_said() -> None:
    assert begun(assignment()) == Trial("u")
    assert begun(assignment("False")) == Trial("u", "False", failures=2, message=f"{PAY}: reset")
    assert after(begun(assignment("False")), [BAD], revision=7).verdict == "False"
    assert begun(assignment("Nonsense")).verdict == ""


def test_the_condition_says_what_failed_and_nothing_before_there_is_a_word() -> None:
    given_one = assignment()
    assert condition(Trial("u"), given_one, now=NOW) is None
    shown = condition(word([BAD], [BAD, OTHER]), given_one, now=NOW)
    assert shown is not None
    assert (shown.status, shown.reason, shown.message) == ("False", "CallFailed", f"{PAY}: reset")
    assert shown.observed_generation == 3


SHOWN = [
    ({"east": "True", "west": "True"}, "True", "Verified"),
    ({"east": "True", "west": ""}, "Unknown", "NotVerifiedYet"),
    ({"east": "True", "west": "Unknown"}, "Unknown", "NotVerifiedYet"),
    ({"east": "", "west": "False"}, "False", "CallsFail"),
    ({}, "Unknown", "NotVerifiedYet"),
]


@pytest.mark.parametrize(("clusters", "status", "reason"), SHOWN)
def test_a_placement_says_whether_all_its_copies_reach_what_they_call(
    clusters: dict[str, str], status: str, reason: str
) -> None:
    placed = tuple(PlacedCluster(cluster=name, traffic_verified=one) for name, one in clusters.items())
    given_ones = {name: assignment(one) for name, one in clusters.items()}
    shown = traffic_verified(PlacementStatus(clusters=placed), assignments=given_ones, generation=2)
    assert (shown.status, shown.reason, shown.observed_generation) == (status, reason, 2)
    if reason == "CallsFail":
        assert shown.message == f"west: {PAY}: reset"
