"""The steps towards an intermediate, and towards the next one."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh_core.intermediate import Answer, Situation, Step, next_step
from mesh_core.lifetimes import Window

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FRESH = Window(start=NOW - timedelta(days=59), end=NOW + timedelta(days=31))
DUE = Window(start=NOW - timedelta(days=60), end=NOW + timedelta(days=30))


@pytest.mark.parametrize(
    ("in_force", "answer", "step"),
    [
        (None, Answer.NOT_ASKED, Step.ASK),
        (DUE, Answer.NOT_ASKED, Step.ASK),
        (FRESH, Answer.NOT_ASKED, Step.WAIT),
        (None, Answer.PENDING, Step.WAIT),
        (None, Answer.REFUSED, Step.WAIT),
        (None, Answer.GOOD, Step.STORE),
        (DUE, Answer.GOOD, Step.STORE),
        (FRESH, Answer.STORED, Step.DISCARD),
        (None, Answer.BAD, Step.DISCARD),
        (FRESH, Answer.BAD, Step.DISCARD),
        (DUE, Answer.PENDING, Step.WAIT),
        (FRESH, Answer.PENDING, Step.DISCARD),
        (FRESH, Answer.REFUSED, Step.WAIT),
    ],
)
def test_one_step_follows_from_what_is_there(in_force: Window | None, answer: Answer, step: Step) -> None:
    assert next_step(Situation(in_force=in_force, answer=answer), now=NOW) is step


@pytest.mark.parametrize("answer", list(Answer))
def test_what_the_roster_named_is_stored_before_anything_else(answer: Answer) -> None:
    assert next_step(Situation(in_force=DUE, answer=answer, is_stored=False), now=NOW) is Step.ADOPT
    assert next_step(Situation(in_force=None, answer=answer, is_stored=False), now=NOW) is not Step.ADOPT
