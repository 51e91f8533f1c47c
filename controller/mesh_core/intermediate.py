"""The next step towards a certificate for our intermediate's key, or a newer one: no memory.

1. The key stays; a renewal is a new certificate for the same key, so whoever knows a member by its key
   still knows it. (A new key is made when the Secret is deleted.)
2. One request at a time is open, named after the key and the identity it is for.
3. A certificate takes effect only after it was verified; what is stored stays until then.
4. A refused request is a person's answer: it is not asked again while the request stands.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from mesh_core.lifetimes import Window


class Answer(Enum):
    """What came of our request."""

    NOT_ASKED = "NotAsked"
    PENDING = "Pending"
    REFUSED = "Refused"
    GOOD = "Good"
    """A certificate that was verified and is not the stored one."""
    STORED = "Stored"
    """The certificate that is stored already."""
    BAD = "Bad"
    """A certificate that does not fit our key, our identity or our roots."""


class Step(Enum):
    """What to do next."""

    ASK = "ask for a certificate"
    STORE = "store the certificate"
    DISCARD = "delete the request"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Situation:
    """What is there beside the key: when the stored certificate is good if it counts, and our request."""

    stored: Window | None
    answer: Answer


def next_step(situation: Situation, *, now: datetime) -> Step:
    """The one thing to do now; the same situation gives the same step until it has taken effect."""
    match situation.answer:
        case Answer.GOOD:
            return Step.STORE
        case Answer.STORED | Answer.BAD:
            return Step.DISCARD
        case Answer.PENDING | Answer.REFUSED:
            return Step.WAIT
        case Answer.NOT_ASKED:
            return Step.ASK if _is_due(situation.stored, now=now) else Step.WAIT


def _is_due(stored: Window | None, *, now: datetime) -> bool:
    # No jitter: only the leading controller asks.
    return stored is None or now >= stored.renewal(jitter=0.0)
