"""What `meshctl verify` tries, how it judges, and what it puts into a cluster."""

import json
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_cli.verify.cases import (
    SUITES,
    Case,
    Member,
    Outcome,
    Run,
    Tried,
    believed,
    cases,
    controls,
    judged,
    refused,
)
from mesh_cli.verify.objects import PREFIX, manifests, namespace_of
from mesh_cli.verify.render import run_as_json, run_as_junit, run_as_text

EAST, WEST = Member("e", "east", 0, "image"), Member("w", "west", 1, "image")
SPACE = namespace_of("r")
ALL = cases([EAST, WEST], namespace=SPACE, suites=SUITES)


def one(suite: str, *, caller: Member = WEST, nth: int = 0) -> Case:
    return [case for case in ALL if (case.suite, case.caller) == (suite, caller)][nth]


def test_each_suite_is_tried_in_both_directions() -> None:
    for suite in ("dns", "connectivity", "headless", "payload", "policy"):
        callers = [case.caller for case in ALL if case.suite == suite]
        assert callers.count(EAST) == callers.count(WEST) > 0


def test_only_the_suites_that_are_wanted_are_tried() -> None:
    assert {case.suite for case in cases([EAST, WEST], namespace=SPACE, suites=["dns"])} == {"dns"}


@pytest.mark.parametrize(
    ("case", "answer", "outcome"),
    [
        (one("dns"), {"addresses": ["10.96.0.1"]}, Outcome.PASSED),
        (one("dns"), {"addresses": []}, Outcome.FAILED),
        (one("dns"), {"error": "Name or service not known"}, Outcome.FAILED),
        (one("connectivity"), {"addresses": ["10.96.0.1"], "cluster": "east"}, Outcome.PASSED),
        (one("connectivity"), {"addresses": ["10.96.0.1"], "cluster": "west"}, Outcome.FAILED),
        (one("connectivity"), {"addresses": ["10.96.0.1"]}, Outcome.FAILED),
        (one("connectivity"), {}, Outcome.FAILED),
        (one("policy"), {"error": "Name or service not known"}, Outcome.PASSED),
        (one("policy"), {"addresses": ["10.96.0.1"]}, Outcome.FAILED),
        (one("policy", nth=1), {"error": "Connection reset by peer"}, Outcome.PASSED),
        (one("policy", nth=1), {"addresses": ["10.96.0.1"], "cluster": "east"}, Outcome.FAILED),
    ],
)
def test_an_answer_passes_where_the_right_cluster_gave_it_and_nobody_where_nobody_should(
    case: Case, answer: dict[str, Any], outcome: Outcome
) -> None:
    found = judged(case, answer)
    assert found.outcome is outcome
    assert bool(found.why) == (outcome is Outcome.FAILED)


@pytest.mark.parametrize(
    ("denied", "answered", "outcome"),
    [
        ({"error": "Name or service not known"}, {"cluster": "east"}, Outcome.PASSED),
        ({"error": "Name or service not known"}, {"error": "no DNS at all"}, Outcome.FAILED),
        ({"addresses": ["10.96.0.1"]}, {"cluster": "east"}, Outcome.FAILED),
        ({"addresses": ["10.96.0.1"]}, {"error": "no DNS at all"}, Outcome.FAILED),
    ],
)
def test_that_nobody_answers_says_something_only_where_somebody_else_is_answered(
    denied: dict[str, Any], answered: dict[str, Any], outcome: Outcome
) -> None:
    case = one("policy")
    control = judged(controls([EAST, WEST], namespace=SPACE)[case.caller, case.exporter], answered)
    assert believed(judged(case, denied), control=control).outcome is outcome


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        (["NotExported: x", "NotExported: y"], Outcome.PASSED),
        (["NotExported: x", "OK"], Outcome.FAILED),
        (["Unreachable: x"], Outcome.FAILED),
        ([], Outcome.SKIPPED),
    ],
)
def test_every_gateway_must_be_refused_and_silence_is_no_refusal(words: list[str], outcome: Outcome) -> None:
    assert refused(WEST, EAST, words=words, service="hidden", wanted="NotExported").outcome is outcome


def test_everything_lies_in_one_namespace_of_the_run_and_obeys_the_restricted_standard() -> None:
    space, *others = manifests(EAST, run="r")
    assert space["metadata"]["name"].startswith(PREFIX)
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {item["metadata"]["namespace"] for item in others} == {SPACE}
    exported = {item["metadata"]["name"] for item in others if item["kind"] == "ServiceExport"}
    assert exported == {"echo-0", "pods-0", "closed-0"}
    (pod,) = [item for item in others if item["kind"] == "Pod"]
    assert pod["spec"]["containers"][0]["image"] == "image"
    assert json.dumps(others)


def run_of(*tried: Tried, leftovers: tuple[str, ...] = ()) -> Run:
    return Run(SPACE, ("east", "west"), tried, 1.0, leftovers)


PASSED = Tried("dns", "a", Outcome.PASSED)


def test_a_run_passes_only_where_something_passed_nothing_failed_and_nothing_is_left() -> None:
    assert run_of(PASSED).passed
    assert run_of(PASSED, Tried("dns", "b", Outcome.SKIPPED)).passed
    assert not run_of(PASSED, Tried("dns", "b", Outcome.FAILED)).passed
    assert not run_of(Tried("dns", "b", Outcome.SKIPPED)).passed
    assert not run_of().passed
    assert not run_of(PASSED, leftovers=("a namespace",)).passed


@given(st.text(max_size=40), st.sampled_from(SUITES), st.sampled_from(Outcome))
def test_whatever_a_pod_said_junit_is_xml_and_text_moves_no_cursor(
    said: str, suite: str, outcome: Outcome
) -> None:
    run = run_of(Tried(suite, "a case", outcome, 0.1, said), leftovers=(said,))
    root = ElementTree.fromstring(run_as_junit(run))
    (element,) = root.findall("testsuite")
    assert int(element.attrib["failures"]) == (outcome is Outcome.FAILED)
    assert len(element.findall("testcase/failure")) == (outcome is Outcome.FAILED)
    assert all(char.isprintable() or char == "\n" for char in run_as_text(run))
    assert json.loads(run_as_json(run))["passed"] is False


@given(
    st.dictionaries(
        st.sampled_from(["error", "seconds", "addresses", "cluster"]), st.none() | st.text() | st.integers()
    )
)
def test_an_answer_of_any_shape_is_judged(answer: dict[str, Any]) -> None:
    for case in ALL:
        judged(case, answer)
