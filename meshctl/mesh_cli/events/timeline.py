"""What happened, put in the order of time. Pure.

A condition says what became of an object, why, and since when; an Event that something changed, and is gone
after an hour. So an entry is the last change of a condition, an Event of our controller about an earlier one,
or an Event that Kubernetes wrote about us. What a condition and an Event both tell is one entry: that of the
condition, which says more, with the count of the Event.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from mesh_cli.status.survey import NotSeen
from mesh_core.objects import Condition

_EARLIER: Final = timedelta(seconds=2)
_LATER: Final = timedelta(seconds=60)
"""From a condition's change, which is written in whole seconds, to the Event about it."""


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
    timed = _told_once([(moment, one) for one in entries if (moment := _moment(one.at)) is not None])
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


def _told_once(timed: Iterable[tuple[datetime, Entry]]) -> list[tuple[datetime, Entry]]:
    """Without Events that tell of the change that a condition shows."""
    conditions: defaultdict[tuple[str, ...], list[tuple[datetime, Entry]]] = defaultdict(list)
    events: list[tuple[datetime, Entry]] = []
    for moment, one in timed:
        if "=" in one.what:
            conditions[_subject(one)].append((moment, one))
        else:
            events.append((moment, one))
    for moment, event in events.copy():
        shown = conditions[_subject(event)]
        for place, (since, condition) in enumerate(shown):
            if -_EARLIER <= moment - since <= _LATER:
                shown[place] = since, replace(condition, count=max(condition.count, event.count))
                events.remove((moment, event))
                break
    return events + [one for found in conditions.values() for one in found]


def _subject(one: Entry) -> tuple[str, ...]:
    """What it is about, and the first of its reasons: an Event has no more than one."""
    return one.cluster, one.kind, one.object, one.reason.partition(",")[0]


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
