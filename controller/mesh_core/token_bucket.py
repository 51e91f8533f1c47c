"""How often something may happen: so many at once, so many a second in the long run."""

from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """Full at first; `rate` a second, `burst` at once. `now` is in seconds of one clock."""

    rate: float
    burst: int
    _level: float = -1.0
    _at: float = 0.0

    def take(self, *, now: float) -> bool:
        """Whether it may happen now; if so it has."""
        full = float(self.burst)
        self._level = full if self._level < 0 else min(full, self._level + (now - self._at) * self.rate)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def is_full(self, *, now: float) -> bool:
        """Whether nothing has happened for so long that it may be forgotten."""
        return self._level < 0 or self._level + (now - self._at) * self.rate >= self.burst


class TokenBuckets:
    """A bucket for each source, and one for all together; at most `most` sources are remembered.

    Without `total_rate` there is none for all: whoever can come from anywhere could empty it for everybody.
    A source that nobody remembers begins with a full bucket, so the common one is what bounds many of them.
    Forgetting costs nothing: sources that did nothing while half of `most` others came are dropped at once.
    """

    def __init__(
        self,
        *,
        rate: float,
        burst: int,
        total_rate: float | None = None,
        total_burst: int = 0,
        most: int = 1024,
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._most = most
        self._total = TokenBucket(total_rate, total_burst) if total_rate is not None else None
        self._lately: dict[str, TokenBucket] = {}
        self._before: dict[str, TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._lately) + len(self._before)

    def take(self, source: str, *, now: float) -> bool:
        """Whether it may happen now for `source`; what one has too much of is not taken from all."""
        bucket = self._lately.get(source)
        if bucket is None:
            bucket = self._remembered(source)
        return bucket.take(now=now) and (self._total is None or self._total.take(now=now))

    def _remembered(self, source: str) -> TokenBucket:
        """The bucket of a source that was not heard lately."""
        if len(self._lately) >= self._most // 2:
            self._before, self._lately = self._lately, {}
        bucket = self._before.pop(source, None) or TokenBucket(self._rate, self._burst)
        self._lately[source] = bucket
        return bucket
