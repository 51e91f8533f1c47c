"""Conditions of an object's status (metav1.Condition): changed only where something changed.

`lastTransitionTime` moves only when `status` does, so that a reader sees since when it has been so.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from mesh_core.objects import Condition

LONGEST_MESSAGE = 1024
"""Characters. The API server takes 32,768; a person reads one line, and a list of conditions has many."""
_LONGEST_END = 256
_GAP = " ... "


def truth(value: bool) -> str:
    """The status of a condition that is known."""
    return "True" if value else "False"


def settled(wanted: Condition, *, before: Sequence[Condition], now: datetime) -> Condition:
    """`wanted` with its lastTransitionTime: the one it had while its status stays, else `now`.

    Its message is `shortened`.
    """
    since = next(
        (
            old.last_transition_time
            for old in before
            if old.type == wanted.type and old.status == wanted.status
        ),
        "",
    )
    return Condition(
        type=wanted.type,
        status=wanted.status,
        reason=wanted.reason,
        message=shortened(wanted.message),
        observed_generation=wanted.observed_generation,
        last_transition_time=since or rfc3339(now),
    )


def shortened(message: str) -> str:
    """At most `LONGEST_MESSAGE` characters of it; what is cut out lies before the end, which says what to do.

    What others say may be long (Kubernetes lists every rule that a role lacks).
    """
    if len(message) <= LONGEST_MESSAGE:
        return message
    end = message[-_LONGEST_END:]
    end = end[end.find("; ") + 2 :] if "; " in end else end
    return message[: LONGEST_MESSAGE - len(_GAP) - len(end)] + _GAP + end


def merged(
    wanted: Iterable[Condition], *, before: Sequence[Condition], ours: Iterable[str], now: datetime
) -> tuple[Condition, ...]:
    """The whole list: those `wanted`, and of the others those whose type is not one of `ours`."""
    own = frozenset(ours)
    kept = tuple(old for old in before if old.type not in own)
    return tuple(settled(condition, before=before, now=now) for condition in wanted) + kept


def as_json(condition: Condition) -> dict[str, Any]:  # Any: the values of a JSON object
    """The condition as it is written to the API server."""
    body: dict[str, Any] = {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": condition.last_transition_time,
    }
    if condition.observed_generation:
        body["observedGeneration"] = condition.observed_generation
    return body


def rfc3339(moment: datetime) -> str:
    """`moment` as metav1.Time writes it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
