"""The same objects, the same answers: CoreDNS's `multicluster` and ours beside one API server.

Where the two differ the difference has a name, a reason, and a row in `docs/names.md`.
"""

from pathlib import Path

import pytest

from live.coredns.cases import (
    DIFFERENCES,
    NAME_SERVER,
    SRV_WEIGHTS,
    Difference,
    alike,
    placed,
    questions,
    table,
)
from live.coredns.scene import Answers, answers_of_both

DOCS = Path(__file__).parents[3] / "docs" / "names.md"


@pytest.fixture(scope="module")
def answers() -> Answers:
    """What both say to every question: asked once, by programs that are gone when a test looks."""
    return answers_of_both(questions())


def test_both_give_the_same_answer_to_what_coredns_supports(answers: Answers) -> None:
    asked = list(alike())
    assert len(asked) > 300
    differing = [
        f"{name} {kind}: CoreDNS {said['coredns']!r}, ours {said['ours']!r}"
        for name, kind in asked
        if (said := answers[name, kind])["coredns"] != said["ours"]
    ]
    assert differing == []


def test_what_they_agree_on_is_not_only_that_nothing_exists(answers: Answers) -> None:
    given = [str(answers[question]["ours"]) for question in alike()]
    records = sum(said not in ("NODATA", "NXDOMAIN") for said in given)
    assert records > 40
    assert given.count("NODATA") > 40
    assert given.count("NXDOMAIN") > 40


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda one: one.shown)
def test_a_difference_is_the_one_that_is_listed(answers: Answers, difference: Difference) -> None:
    found = {question: answers[placed(question)] for question in difference.said}
    told = {question: (str(said["coredns"]), str(said["ours"])) for question, said in found.items()}
    assert told == dict(difference.said)


def test_the_name_server_is_where_it_is_asked(answers: Answers) -> None:
    assert NAME_SERVER in DIFFERENCES
    said = answers[placed(("ns.dns", "A"))]
    [ours] = said["ours"].records
    assert ours.startswith("A 10.96.")
    assert ours not in said["coredns"].records


def test_srv_records_weigh_the_same_and_stand_alone(answers: Answers) -> None:
    assert SRV_WEIGHTS in DIFFERENCES
    [said] = [answers[question] for question in alike() if question == placed(("db.real.svc", "SRV"))]
    assert (list(said["ours"].weights), said["ours"].beside) == ([100], 0)
    assert list(said["coredns"].weights) == [16]
    assert said["coredns"].beside > 0


def test_the_page_shows_every_difference() -> None:
    assert table() in DOCS.read_text()
