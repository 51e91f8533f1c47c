"""How much a peer may say: a budget that fills with time, so that nobody makes us write without end.

What a peer says is written to our API server, and its store has room for so much a minute. A list is bounded
as a whole; what comes after it is bounded by this. Whoever spends more is read more slowly, and its own
connection makes it wait. Times are seconds and are passed in.
"""

from dataclasses import dataclass
from typing import Final

RATE: Final = 512 * 1024
"""Bytes a second in the long run."""
BURST: Final = 32 << 20
"""Bytes at once: as many as a peer's records may have."""
LEAST: Final = 1024
"""Bytes that the shortest message counts for: one write, however small."""


@dataclass(slots=True)
class Allowance:
    """The budget of one peer; `at` is when it was last looked at."""

    left: float = BURST
    at: float = 0.0

    def spend(self, size: int, *, now: float) -> float:
        """Spend `size` bytes; the seconds to wait before more is read, 0.0 while there is something left."""
        self.left = min(BURST, self.left + max(now - self.at, 0.0) * RATE) - max(size, LEAST)
        self.at = now
        return max(-self.left / RATE, 0.0)
