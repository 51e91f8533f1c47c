"""What is told of a Placement: PlacementDecisions, its Report, its history, its conditions."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.objects import Condition, Meta
from mesh_placement.decide.decision_slices import decision_slices, is_same, slice_body, surplus
from mesh_placement.decide.moves import moves, with_moves
from mesh_placement.decide.placement_conditions import applied, rejections, scheduled, with_feedback
from mesh_placement.decide.report_pages import page_body, report_pages, seconds_until_write
from mesh_placement.names import LABEL_DECISION_INDEX, LABEL_DECISION_KEY, LABEL_DECISION_REVISION
from mesh_placement.objects import (
    Assignment,
    AssignmentStatus,
    ClusterVerdict,
    Move,
    PlacedCluster,
    PlacementDecision,
    PlacementReport,
    PlacementStatus,
    ReplicaCount,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLACEMENT = Meta(name="app", namespace="shop", uid="u1")
MANY = {f"c{number:03}": "clusterset-prod" for number in range(201)}


def test_a_decision_of_201_clusters_is_three_objects_of_one_key_in_order() -> None:
    slices = decision_slices(PLACEMENT, revision=7, chosen=MANY, reasons={"c000": "Selected"})
    assert [len(one.decisions) for one in slices] == [100, 100, 1]
    assert [one.metadata.labels[LABEL_DECISION_INDEX] for one in slices] == ["0", "1", "2"]
    assert {one.metadata.labels[LABEL_DECISION_KEY] for one in slices} == {"u1"}
    assert {one.metadata.labels[LABEL_DECISION_REVISION] for one in slices} == {"7"}
    named = [each.cluster_profile_ref.name for one in slices for each in one.decisions]
    assert named == sorted(MANY)
    assert slices[0].decisions[0].reason == "Selected"


def test_the_order_in_which_clusters_come_is_no_matter() -> None:
    turned = dict(reversed(MANY.items()))
    one = decision_slices(PLACEMENT, revision=1, chosen=MANY, reasons={})
    assert one == decision_slices(PLACEMENT, revision=1, chosen=turned, reasons={})


def test_no_cluster_is_said_too() -> None:
    (only,) = decision_slices(PLACEMENT, revision=1, chosen={}, reasons={})
    assert slice_body(only)["decisions"] == []


def test_a_reference_has_two_fields_and_nothing_is_counted() -> None:
    (only,) = decision_slices(PLACEMENT, revision=1, chosen={"east": "inventory"}, reasons={})
    assert slice_body(only)["decisions"] == [
        {"clusterProfileRef": {"name": "east", "namespace": "inventory"}}
    ]


def test_what_is_there_and_says_the_same_is_not_written_and_what_is_too_much_goes() -> None:
    before = decision_slices(PLACEMENT, revision=1, chosen=MANY, reasons={})
    held = msgspec.structs.replace(
        before[0],
        metadata=msgspec.structs.replace(
            before[0].metadata, labels={**before[0].metadata.labels, "added": "by somebody"}
        ),
    )
    assert is_same(before[0], held)
    assert not is_same(before[0], None)
    after = decision_slices(PLACEMENT, revision=2, chosen={"c000": "p"}, reasons={})
    assert not is_same(after[0], held)
    foreign = PlacementDecision(
        metadata=Meta(name="app-9", namespace="shop", labels=before[0].metadata.labels),
        decisions=(),
        scheduler_name="another",
    )
    gone = surplus([*before, foreign], wanted=after, placement=PLACEMENT)
    assert [one.metadata.name for one in gone] == ["app-1", "app-2"]


def verdict(cluster: str, **fields: object) -> ClusterVerdict:
    return msgspec.convert({"cluster": cluster, "verdict": "Outranked", **fields}, ClusterVerdict)


def pages(*verdicts: ClusterVerdict, revision: int = 1, ago: float = 0.0) -> tuple[PlacementReport, ...]:
    at = NOW - timedelta(seconds=ago)
    return report_pages(PLACEMENT, revision=revision, verdicts=verdicts, now=at)


def test_every_cluster_is_on_one_page_in_the_order_of_names() -> None:
    told = pages(*(verdict(name) for name in reversed(list(MANY))))
    assert [len(one.clusters) for one in told] == [100, 100, 1]
    assert [each.cluster for one in told for each in one.clusters] == sorted(MANY)
    assert page_body(told[2])["metadata"]["name"] == "app-2"


def test_words_of_a_plug_in_are_cut() -> None:
    (page,) = pages(verdict("east", hint="x" * 5000))
    assert len(page.clusters[0].hint) == 1024


WRITTEN = {
    "nothing is there": ((), pages(verdict("east")), 0.0),
    "the same": (pages(verdict("east"), ago=99), pages(verdict("east")), None),
    "another verdict": (
        *(pages(verdict("east")), pages(verdict("east", verdict="Selected"))),
        0.0,
    ),
    "another code": (pages(verdict("east", code="A")), pages(verdict("east", code="B")), 0.0),
    "another revision": (pages(verdict("east")), pages(verdict("east"), revision=2), 0.0),
    "another cluster": (pages(verdict("east")), pages(verdict("east"), verdict("west")), 0.0),
    "a score, soon after": (pages(verdict("east"), ago=20), pages(verdict("east", score=1.0)), 40.0),
    "a score, late": (pages(verdict("east"), ago=61), pages(verdict("east", score=1.0)), 0.0),
    "written in what is our future": (
        *(pages(verdict("east"), ago=-300), pages(verdict("east", score=1.0))),
        60.0,
    ),
}


@pytest.mark.parametrize(("there", "wanted", "seconds"), WRITTEN.values(), ids=WRITTEN)
def test_a_report_is_written_at_once_for_a_verdict_and_else_once_a_minute(
    there: tuple[PlacementReport, ...], wanted: tuple[PlacementReport, ...], seconds: float | None
) -> None:
    assert seconds_until_write(there, wanted, now=NOW) == seconds


MOVES: dict[str, tuple[dict[str, int | None], dict[str, int | None], list[tuple[str, str, int | None]]]] = {
    "comes": ({}, {"a": None}, [("", "a", None)]),
    "goes": ({"a": 2}, {}, [("a", "", 2)]),
    "moves": ({"a": None}, {"b": None}, [("a", "b", None)]),
    "moves in part": ({"a": 5}, {"a": 3, "b": 2}, [("a", "b", 2)]),
    "grows": ({"a": 1}, {"a": 4}, [("", "a", 3)]),
    "is split": ({"a": 4}, {"b": 1, "c": 3}, [("a", "b", 1), ("a", "c", 3)]),
    "is put together": ({"a": 1, "b": 2}, {"c": 5}, [("a", "c", 1), ("b", "c", 2), ("", "c", 2)]),
    "stays": ({"a": 1}, {"a": 1}, []),
}


@pytest.mark.parametrize(("before", "after", "expected"), MOVES.values(), ids=MOVES)
def test_a_move_says_from_where_to_where_and_how_many(
    before: dict[str, int | None], after: dict[str, int | None], expected: list[tuple[str, str, int | None]]
) -> None:
    found = moves(before, after, time="t", cause="because")
    assert [(one.source, one.target, one.replicas) for one in found] == expected
    assert all(one.cause == "because" for one in found)


SHARES = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 9))


@given(SHARES, SHARES)
def test_moves_lead_from_what_was_to_what_is(before: dict[str, int], after: dict[str, int]) -> None:
    state = dict(before)
    for one in moves(before, after, time="t", cause=""):
        assert one.replicas
        for name, sign in ((one.source, -1), (one.target, 1)):
            if name:
                state[name] = state.get(name, 0) + sign * one.replicas
    assert {name: n for name, n in state.items() if n} == {name: n for name, n in after.items() if n}


def test_twenty_moves_are_kept() -> None:
    old = tuple(Move(time=str(number)) for number in range(20))
    kept = with_moves(old, (Move(time="new"),))
    assert (len(kept), kept[0].time, kept[-1].time) == (20, "1", "new")


VERDICTS = [
    verdict("a", verdict="Rejected", code="TooFar"),
    verdict("b", verdict="Rejected", code="NotReady"),
    verdict("c", verdict="Rejected", code="TooFar"),
    verdict("d", verdict="Selected"),
]
EAST = PlacedCluster(cluster="east", replicas=2)
SAID = {
    "all placed": (
        PlacementStatus(clusters=(EAST,)),
        "",
        "True",
        "Scheduled",
        "in 1 of 4 clusters: 2 TooFar",
    ),
    "nowhere": (PlacementStatus(), "", "False", "NoClusterFits", "none of 4 clusters can take it: 2 TooFar"),
    "short": (
        *(PlacementStatus(clusters=(EAST,), wanted=5, shortfall=3), ""),
        *("False", "ReplicasWithoutPlace", "3 of 5 replicas found no place"),
    ),
    "kept out": (
        PlacementStatus(),
        "no cluster takes it",
        "False",
        "NoClusterFits",
        "no cluster takes it; see",
    ),
    "held": (PlacementStatus(clusters=(EAST,)), "the hub is cut off", "True", "Held", "the hub is cut off"),
}


@pytest.mark.parametrize(("status", "hold", "truth", "reason", "words"), SAID.values(), ids=SAID)
def test_scheduled_says_where_it_is_or_what_kept_it_out(
    status: PlacementStatus, hold: str, truth: str, reason: str, words: str
) -> None:
    said = scheduled(status, verdicts=VERDICTS, hold=hold, generation=3)
    assert (said.status, said.reason, said.observed_generation) == (truth, reason, 3)
    assert words in said.message


def test_why_not_is_counted_with_the_most_common_first() -> None:
    assert rejections(VERDICTS) == ": 2 TooFar, 1 NotReady"
    assert rejections([]) == ""


def given_to(**status: object) -> Assignment:
    return Assignment(
        metadata=Meta(name="shop.app", generation=4), status=msgspec.convert(status, AssignmentStatus)
    )


FAILED = Condition(
    type="Applied", status="False", reason="Forbidden", message="may not", observed_generation=4
)
FEEDBACK = {
    "in the member": (given_to(applied=2), "True", "Applied", "revision 2 is in 1 clusters"),
    "an older one": (given_to(applied=1), "False", "Waiting", "east: not applied yet"),
    "nothing yet": (None, "False", "Waiting", "east: not given yet"),
    "at a gate": (
        *(given_to(applied=0, waitingFor="Secret/a"), "False", "Waiting"),
        "east: waits for Secret/a",
    ),
    "refused": (
        *(msgspec.structs.replace(given_to(), status=AssignmentStatus(conditions=(FAILED,))), "False"),
        *("Failed", "east: Forbidden: may not"),
    ),
}


@pytest.mark.parametrize(("assignment", "truth", "reason", "words"), FEEDBACK.values(), ids=FEEDBACK)
def test_applied_says_what_the_members_say(
    assignment: Assignment | None, truth: str, reason: str, words: str
) -> None:
    known = {"east": assignment} if assignment is not None else {}
    status = PlacementStatus(revision=2, clusters=with_feedback((EAST,), assignments=known))
    said = applied(status, assignments=known, generation=1)
    assert (said.status, said.reason) == (truth, reason)
    assert words in said.message


def test_what_a_member_reports_is_shown_and_forgotten_with_its_assignment() -> None:
    said = AssignmentStatus(applied=3, replicas=ReplicaCount(desired=2, ready=1), health="Progressing")
    (shown,) = with_feedback((EAST,), assignments={"east": Assignment(metadata=Meta(name="a"), status=said)})
    assert (shown.applied, shown.ready, shown.health, shown.replicas) == (3, 1, "Progressing", 2)
    assert with_feedback((shown,), assignments={}) == (EAST,)
