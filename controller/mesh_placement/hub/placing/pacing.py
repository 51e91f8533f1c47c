"""How soon what members say has the hub decide again: not sooner than a cycle takes.

A member may change its word ten times a second, and a cycle of many Placements takes seconds. What a person
asks for is decided at once; news of members let the hub rest as long as the last cycle took, so that at most
half of its time goes to what members say. Times are those of one clock that never goes back.
"""


class Pace:
    """Of one term of leadership."""

    def __init__(self) -> None:
        self._begun: float | None = None
        self._until = 0.0

    def begin(self, now: float) -> None:
        """A cycle begins."""
        self._begun = now

    def end(self, now: float) -> None:
        """It is over, or has failed."""
        if self._begun is not None:
            self._until = now + max(0.0, now - self._begun)
        self._begun = None

    def rest(self, now: float, *, least: float) -> float:
        """Seconds until one may ask again whether to decide; 0.0 where it may be decided now.

        While a cycle runs nobody knows how long it will take: it rests at least as long as it took so far.
        """
        if self._begun is not None:
            return max(least, now - self._begun)
        return max(0.0, self._until - now)
