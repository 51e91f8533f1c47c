"""What a check says: a verdict on each thing that it looked at, and the rule that nothing unseen is fine.

1. OK is said of something that was seen. What could not be looked at is UNKNOWN, with the reason.
2. A check that found nothing to look at says so in words of its own; saying nothing at all is UNKNOWN too.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

T = TypeVar("T")


class Verdict(Enum):
    """How something stands, from good to bad; the order is the one in which results are summed up."""

    OK = "ok"
    WARN = "warn"
    UNKNOWN = "unknown"
    FAIL = "fail"


_ORDER = tuple(Verdict)


@dataclass(frozen=True, slots=True)
class Unseen:
    """In the place of a value that could not be read: why, as a sentence; `next_step` where it is not that
    somebody has to let us see it."""

    why: str
    next_step: str = ""


class CouldNotLook(Exception):
    """A check needs what was not seen; it is caught where checks are run, and makes them UNKNOWN."""

    def __init__(self, why: str, *, next_step: str = "") -> None:
        super().__init__(why)
        self.why, self.next_step = why, next_step


@dataclass(frozen=True, slots=True)
class Observed:
    """One thing that a check looked at: the value that was seen, since when (RFC 3339), and what to do."""

    verdict: Verdict
    subject: str
    seen: str
    next_step: str = ""
    since: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """Something that is asked of a cluster: an id that keeps its meaning, and what is asked."""

    id: str
    title: str

    @property
    def anchor(self) -> str:
        """Where it is explained."""
        return f"docs/checks.md#{self.id.lower()}"


@dataclass(frozen=True, slots=True)
class Result:
    """What a check says of the cluster behind `context`; at least one thing, the worst first."""

    check: Question
    context: str
    observed: tuple[Observed, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of it."""
        return worst(one.verdict for one in self.observed)


def sorted_result(
    check: Question, *, context: str, look: Callable[[], Iterable[Observed]], next_step: str
) -> Result:
    """What `look` says; that it could not look, or found nothing to say, is UNKNOWN and never fine."""
    try:
        observed = list(look())
    except CouldNotLook as error:
        observed = [unknown("-", seen=error.why, next_step=error.next_step or next_step)]
    if not observed:
        observed = [unknown("-", seen="there was nothing to look at", next_step=next_step)]
    return Result(check, context, tuple(sorted(observed, key=lambda one: -_ORDER.index(one.verdict))))


def ok(subject: str, *, seen: str, since: str = "") -> Observed:
    """It is as it should be."""
    return Observed(Verdict.OK, subject, seen, since=since)


def warn(subject: str, *, seen: str, next_step: str, since: str = "") -> Observed:
    """It works, and somebody should look."""
    return Observed(Verdict.WARN, subject, seen, next_step, since)


def fail(subject: str, *, seen: str, next_step: str, since: str = "") -> Observed:
    """It does not work."""
    return Observed(Verdict.FAIL, subject, seen, next_step, since)


def unknown(subject: str, *, seen: str, next_step: str, since: str = "") -> Observed:
    """It could not be found out."""
    return Observed(Verdict.UNKNOWN, subject, seen, next_step, since)


def seen(value: T | Unseen) -> T:
    """The value; raises CouldNotLook when it was not seen."""
    if isinstance(value, Unseen):
        raise CouldNotLook(value.why, next_step=value.next_step)
    return value


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of them; UNKNOWN of none."""
    return max(verdicts, key=_ORDER.index, default=Verdict.UNKNOWN)
