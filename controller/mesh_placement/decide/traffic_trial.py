"""Whether what an Assignment brought reaches the Services that it calls: from tries to one word.

1. One try of all calls that all reach is `True`. Two tries in a row in which a call failed are `False`: one
   may meet a gateway that ends. Where nothing failed and a call cannot be tried, it is `Unknown`.
2. What reached once is not `Unknown` for a try that could not be made: only failures take it back.
3. Until it is `True` it is tried again soon, from then on now and then: the word is for whoever decides about
   a move, and afterwards for people. A new revision is tried at once, and keeps the word until then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from mesh_core.conditions import settled
from mesh_core.objects import Condition
from mesh_placement.decide.work_status import is_ready
from mesh_placement.objects import Assignment

TRAFFIC_VERIFIED: Final = "TrafficVerified"
FAILURES: Final = 2
SOON: Final = 10.0
UNTRIED: Final = 30.0
RARELY: Final = 300.0
"""Seconds between two tries: until it is True, while it cannot be tried, afterwards."""
MOST_CALLS: Final = 64
_LONGEST: Final = 512
_MOST_NAMED: Final = 3

Outcome = Literal["Reached", "Failed", "Untried"]
Verdict = Literal["", "True", "False", "Unknown"]


class TrialReason(StrEnum):
    """The closed list of reasons of the condition."""

    REACHED = "Reached"
    FAILED = "CallFailed"
    UNTRIED = "CannotTry"


_REASONS: Final[Mapping[Verdict, TrialReason]] = {
    "True": TrialReason.REACHED,
    "False": TrialReason.FAILED,
    "Unknown": TrialReason.UNTRIED,
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one call."""

    service: str
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is known after some tries; `revision` is that of the last one, `failures` are those in a row."""

    uid: str
    verdict: Verdict = ""
    revision: int = -1
    failures: int = 0
    message: str = ""


def begun(assignment: Assignment) -> Trial:
    """The trial of an Assignment of which nothing is remembered but what stands in its status."""
    said = assignment.status.traffic_verified
    verdict: Verdict = next((one for one in _REASONS if one == said), "")
    told = next((one for one in assignment.status.conditions if one.type == TRAFFIC_VERIFIED), None)
    failures = FAILURES if verdict == "False" else 0
    return Trial(
        assignment.metadata.uid,
        verdict,
        failures=failures,
        message=told.message if told is not None else "",
    )


def may_be_tried(assignment: Assignment) -> bool:
    """Whether it calls anything, and stands as it was asked for."""
    return bool(assignment.spec.calls) and is_ready(assignment)


def after(trial: Trial, attempts: Sequence[Attempt], *, revision: int) -> Trial:
    """The trial after one try of all calls."""
    trial = replace(trial, revision=revision)
    failed = [one for one in attempts if one.outcome == "Failed"]
    untried = [one for one in attempts if one.outcome == "Untried"]
    if failed:
        failures = min(FAILURES, trial.failures + 1)
        if failures < FAILURES:
            return replace(trial, failures=failures)
        return replace(trial, verdict="False", failures=failures, message=_sentence(failed))
    if untried:
        if trial.verdict == "True":
            return replace(trial, failures=0)
        return replace(trial, verdict="Unknown", failures=0, message=_sentence(untried))
    return replace(trial, verdict="True", failures=0, message="")


def pause(trial: Trial) -> float:
    """Seconds until the next try."""
    if trial.verdict == "True" and not trial.failures:
        return RARELY
    return UNTRIED if trial.verdict == "Unknown" and not trial.failures else SOON


def condition(trial: Trial, assignment: Assignment, *, now: datetime) -> Condition | None:
    """What is said of it; None as long as there is nothing to say."""
    if not trial.verdict:
        return None
    reason = _REASONS[trial.verdict]
    wanted = Condition(
        type=TRAFFIC_VERIFIED,
        status=trial.verdict,
        reason=reason.value,
        message=trial.message or "all that the workloads call was reached from here",
        observed_generation=assignment.metadata.generation,
    )
    return settled(wanted, before=assignment.status.conditions, now=now)


def _sentence(attempts: Sequence[Attempt]) -> str:
    named = "; ".join(f"{one.service}: {one.why}" for one in attempts[:_MOST_NAMED])
    rest = len(attempts) - _MOST_NAMED
    return (named if rest <= 0 else f"{named}; and {rest} more")[:_LONGEST]
