"""The next step towards a certificate for our intermediate's key, or a newer one: no memory.

1. The key stays; a renewal is a new certificate for the same key, so whoever knows a member by its key
   still knows it. (A new key is made when the Secret is deleted.)
2. What the root's statement names for us takes effect by itself, and is stored so that a restart needs
   nothing else. Nobody is asked while it is good.
3. One request at a time is open, named after the key and the identity it is for.
4. A certificate takes effect only after it was verified; what is stored stays until then.
5. A refused request is a person's answer: it is not asked again while the request stands.
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
    """A certificate that was verified, is not the stored one, and no worse than the one in force."""
    STORED = "Stored"
    """The certificate that is stored already."""
    BAD = "Bad"
    """A certificate that does not fit our key, identity or roots, or that the roster has overtaken."""


class Step(Enum):
    """What to do next."""

    ASK = "ask for a certificate"
    ADOPT = "store the roster's certificate"
    STORE = "store the certificate"
    DISCARD = "delete the request"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Situation:
    """What is there beside the key: when the certificate in force is good, None without one, and our request.

    `is_stored` says whether that certificate is the one in the Secret.
    """

    in_force: Window | None
    answer: Answer
    is_stored: bool = True


def next_step(situation: Situation, *, now: datetime) -> Step:
    """The one thing to do now; the same situation gives the same step until it has taken effect."""
    if situation.in_force is not None and not situation.is_stored:
        return Step.ADOPT
    is_due = _is_due(situation.in_force, now=now)
    match situation.answer:
        case Answer.GOOD:
            return Step.STORE
        case Answer.STORED | Answer.BAD:
            return Step.DISCARD
        case Answer.PENDING:
            # The roster brought one meanwhile: nobody need answer.
            return Step.WAIT if is_due else Step.DISCARD
        case Answer.REFUSED:
            return Step.WAIT
        case Answer.NOT_ASKED:
            return Step.ASK if is_due else Step.WAIT


def _is_due(in_force: Window | None, *, now: datetime) -> bool:
    # No jitter: only the leading controller asks.
    return in_force is None or now >= in_force.renewal(jitter=0.0)
