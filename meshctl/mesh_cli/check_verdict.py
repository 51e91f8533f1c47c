"""What a check says: a verdict on each thing that it looked at, and the rule that nothing unseen is fine.

1. OK is said of something that was seen. What could not be looked at is UNKNOWN, with the reason.
2. A check that found nothing to look at says so in words of its own; saying nothing at all is UNKNOWN too.
"""

from collections.abc import Iterable
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
    """In the place of a value that could not be read: why, as a sentence."""

    why: str


class CouldNotLook(Exception):
    """A check needs what was not seen; it is caught where checks are run, and makes them UNKNOWN."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Observed:
    """One thing that a check looked at: the value that was seen, since when (RFC 3339), and what to do."""

    verdict: Verdict
    subject: str
    seen: str
    next_step: str = ""
    since: str = ""


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
        raise CouldNotLook(value.why)
    return value


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of them; UNKNOWN of none."""
    return max(verdicts, key=_ORDER.index, default=Verdict.UNKNOWN)


def one_line(text: str) -> str:
    """What somebody else wrote: on one line, control characters made harmless, 400 characters at most."""
    words = " ".join(text.split())
    plain = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in words)
    return plain if len(plain) <= 400 else plain[:399] + "\N{HORIZONTAL ELLIPSIS}"
