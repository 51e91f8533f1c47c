"""How long certificates live, and when they are renewed. Times are aware datetimes in UTC.

1. Nothing outlives what signed it.
2. A certificate is good five minutes before it was made, for clocks that are behind.
3. Renewal begins when two thirds of the life are over, spread over a twelfth of it so that replicas
   which started together do not ask together; a quarter of the life is then left to succeed in.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

BACKDATE = timedelta(minutes=5)
ROOT_LIFE = timedelta(days=3652)
"""Ten years. The root's key may lie offline, and replacing it is a step of every member."""
INTERMEDIATE_LIFE = timedelta(days=90)
"""Renewal needs the root's key, so a person: after 60 days, with 30 days in which to come to it."""
ISSUER_LIFE = timedelta(days=30)
"""Renewal needs the root's key too; short, because an issuer lets in whom it likes while it is good."""
LEAF_LIFE = timedelta(hours=24)
"""Renewal needs nobody; a stolen leaf is worth at most a day."""
REQUEST_LIFE = timedelta(minutes=15)
"""How long a request for a leaf is kept; who asked waits less (`mesh_runtime.leaf_request`)."""

_RETRY_FIRST = 1.0
_RETRY_MOST = 60.0


@dataclass(frozen=True, slots=True)
class Window:
    """When a certificate is good, both ends included."""

    start: datetime
    end: datetime

    def holds(self, now: datetime) -> bool:
        """Whether a certificate with this window is good at `now`."""
        return self.start <= now <= self.end

    def renewal(self, *, jitter: float) -> datetime:
        """When to begin with renewal; `jitter` is a number of [0, 1) that differs between replicas."""
        life = self.end - self.start
        return self.start + life * (2 / 3 + jitter / 12)

    def within(self, other: "Window") -> "Window":
        """The part of this window in which `other` is good too; `other` must not have ended before."""
        return Window(start=max(self.start, other.start), end=min(self.end, other.end))


def window_of(life: timedelta, *, now: datetime) -> Window:
    """The window of a certificate made at `now` for `life`."""
    return Window(start=now - BACKDATE, end=now + life)


def retry_delay(attempt: int, *, jitter: float) -> float:
    """Seconds to wait after failure number `attempt` (from 0): 1 to 60, doubling, between half and whole.

    `jitter` is a number of [0, 1).
    """
    # min() first: 2.0 ** attempt would overflow after a thousand attempts.
    whole = min(_RETRY_MOST, _RETRY_FIRST * 2.0 ** min(attempt, 10))
    return whole * (0.5 + jitter / 2)
