"""What happened, put in the order of time. Pure.

Our programs write conditions, and write no Events: a condition says what became of an object, why, and
since when. So an entry is the last change of a condition, or an Event that Kubernetes wrote about us.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mesh_cli.status.survey import NotSeen
from mesh_core.objects import Condition


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """Something that happened at `at` (RFC 3339, to the second) in a cluster. `what` is "Ready=False" or the
    type of an Event, `count` how often it was seen."""

    at: str
    cluster: str
    kind: str
    object: str
    what: str
    reason: str
    message: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Timeline:
    """The newest entries, oldest of them first; `left_out` older ones were found too."""

    at: str
    entries: tuple[Entry, ...]
    left_out: int
    unseen: tuple[NotSeen, ...]


def timeline(
    entries: Iterable[Entry],
    *,
    unseen: Sequence[NotSeen],
    at: datetime,
    since: timedelta | None,
    most: int,
    shown: str,
) -> Timeline:
    """The newest `most` entries, none older than `since`; what has no time that reads is left out."""
    oldest = at - since if since is not None else None
    timed = [(moment, one) for one in entries if (moment := _moment(one.at)) is not None]
    wanted = sorted({(moment, one) for moment, one in timed if oldest is None or moment >= oldest})
    newest = [one for _, one in wanted[max(0, len(wanted) - most) :]]
    return Timeline(shown, tuple(newest), len(wanted) - len(newest), tuple(unseen))


def entries_of(conditions: Iterable[Condition], *, cluster: str, kind: str, name: str) -> list[Entry]:
    """The last change of each condition of one object."""
    return [
        Entry(
            one.last_transition_time, cluster, kind, name, f"{one.type}={one.status}", one.reason, one.message
        )
        for one in conditions
    ]


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
