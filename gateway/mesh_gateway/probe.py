"""When a path is down and when it is up again: decided from what dialling came to (rulings 8 and 19).

1. A path is down when nothing has succeeded for `SILENT` seconds of our own running time, and at least
   `FAILURES` tries failed meanwhile. It is up with one success. Before either it is unknown.
2. Our own lag is no silence: time in which the event loop did not run does not count (`RunningTime`), and
   neither does a try that timed out while it did not run (`is_fair`).
3. A path that never answered is not down but unknown when it is `shy`: a policy may keep our dialling out
   for ever and let others in.

Times are seconds and passed in.
"""

from dataclasses import dataclass, replace
from enum import Enum

SILENT = 3.0
FAILURES = 3
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
    """What dialling one path came to; `since` is the running time from which on nothing succeeded."""

    since: float
    verdict: Verdict = Verdict.UNKNOWN
    failures: int = 0
    shy: bool = False

    def after(self, *, success: bool, now: float) -> "Path":
        """The path after one more try; `now` is running time."""
        if success:
            return Path(since=now, verdict=Verdict.UP)
        failures = self.failures + 1
        is_down = failures >= FAILURES and now - self.since >= SILENT and not self.shy
        return replace(self, failures=failures, verdict=Verdict.DOWN if is_down else self.verdict)


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
