"""What `check` says of an API server that answers too late: the time is to blame, not a right."""

import asyncio

import pytest

from mesh_cli.check.look import seen_or_why
from mesh_cli.check.verdict import Question, Unseen, Verdict, ok, seen, sorted_result

pytestmark = pytest.mark.asyncio
QUESTION = Question("MESH-DNS-001", "is there")


async def late() -> str:
    await asyncio.Event().wait()
    return ""


async def test_who_answers_too_late_is_to_be_asked_again_and_no_right_is_asked_for() -> None:
    found = await seen_or_why(late(), limit=0.01)
    assert isinstance(found, Unseen)
    result = sorted_result(
        QUESTION, context="east", look=lambda: [ok("-", seen=seen(found))], next_step="ask for the right"
    )
    (one,) = result.observed
    assert one.verdict is Verdict.UNKNOWN
    assert "did not answer within" in one.seen
    assert one.next_step.startswith("it is slow now: ask again")


async def test_what_may_not_be_read_asks_for_the_right() -> None:
    hidden: str | Unseen = Unseen("forbidden")
    result = sorted_result(
        QUESTION, context="east", look=lambda: [ok("-", seen=seen(hidden))], next_step="ask for the right"
    )
    assert result.observed[0].next_step == "ask for the right"
