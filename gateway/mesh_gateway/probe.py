"""When a path is down and when it is up again: decided from what was heard and what tries came to
(rulings 8 and 19, docs/decisions/0013 and 0041).

1. A path is down when nothing was heard for `SILENT` seconds of our own running time, and at least
   `FAILURES` tries that began in that time failed. It is up with one sign of life. Before either it is
   unknown, and one that was never up is not called down before `_AT_FIRST` seconds.
2. Silence and tries run side by side: a path is suspect long before it is down, and whoever suspects it tries
   at once, and again before the first try has come to an end. A try has failed when it is overdue.
3. A long way is given the time that it takes: all of this is longer by round trips.
4. Our own lag is no silence: time in which the event loop did not run does not count (`RunningTime`), and
   neither does a try that found no answer while it did not run (`is_fair`).
5. A path that never answered is not down but unknown when it is `shy`: a policy may keep our dialling out
   for ever and let others in.

Times are seconds and passed in.
"""

from dataclasses import dataclass, replace
from enum import Enum

SILENT = 2.0
FAILURES = 3
_AT_FIRST = 4.0
"""A gateway that has just begun, or a peer that is new, needs a moment to find the other."""
_SUSPECT = 1.0
"""An idle tunnel is heard several times in it."""
_OVERDUE = 0.6
_DECIDED = 2.0
"""So long after the earliest end it is not tried in haste any more: it is what it is."""
_SLOWEST = 1.0
"""Of a longer round trip no more counts: a peer must not say how long it may be dead unseen."""
_LONGEST_TURN = 0.5
"""Of a longer time between two turns of the loop only so much counts as running."""
_FAIR = 0.7


class Verdict(Enum):
    """What is known of a path."""

    UNKNOWN = "Unknown"
    UP = "Up"
    DOWN = "Down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """What is known of one path; `since` is the running time at which it was heard last, or begun with.
    `rtt`: how long an answer takes there, 0 when nobody knows."""

    since: float
    verdict: Verdict = Verdict.UNKNOWN
    failures: int = 0
    shy: bool = False
    rtt: float = 0.0

    def heard(self, *, at: float) -> "Path":
        """The path after a sign of life at `at`, which may be known already."""
        if self.verdict is not Verdict.UNKNOWN and at <= self.since:
            return self
        return Path(since=max(at, self.since), verdict=Verdict.UP, rtt=self.rtt)

    def failed(self, *, began: float, now: float) -> "Path":
        """The path after a try that began at `began` and has found nobody by `now`."""
        if began < self.since:
            return self  # what was heard after it began says more
        failures = self.failures + 1
        is_down = failures >= FAILURES and now >= self.down_at and not self.shy
        return replace(self, failures=failures, verdict=Verdict.DOWN if is_down else self.verdict)

    def over(self, rtt: float) -> "Path":
        """The same path, of which it is known now how long an answer takes."""
        return replace(self, rtt=min(rtt, _SLOWEST))

    @property
    def suspect_at(self) -> float:
        """The running time from which on it is to be tried whether anybody is there."""
        return self.since + _SUSPECT + self.rtt

    @property
    def down_at(self) -> float:
        """The running time before which it is not down, whatever fails."""
        return self.since + (_AT_FIRST if self.verdict is Verdict.UNKNOWN else SILENT) + 2 * self.rtt

    @property
    def overdue(self) -> float:
        """Seconds after which a try without an answer has failed: TCP and TLS take two round trips."""
        return _OVERDUE + 2 * self.rtt

    def is_open_question(self, *, now: float) -> bool:
        """Whether it matters soon if somebody answers."""
        return self.verdict is not Verdict.DOWN and now < self.down_at + _DECIDED


class RunningTime:
    """How long our own loop has been running; give it the loop's time at every turn of a short timer."""

    def __init__(self, now: float) -> None:
        self._last = now
        self._total = 0.0

    def at(self, now: float) -> float:
        """Running time at `now`."""
        return self._total + min(now - self._last, _LONGEST_TURN)

    def turn(self, now: float) -> None:
        """The loop runs, and it is `now`."""
        self._total = self.at(now)
        self._last = now


def is_fair(*, ran: float, limit: float) -> bool:
    """Whether a try that found no answer within `limit` counts; our loop `ran` so long meanwhile."""
    return ran >= _FAIR * limit
