"""How often a peer is dialled: pure decisions, which get the time (seconds of the loop's clock).

1. What fails, and what opens and is gone soon after, makes the next dial wait: 0.2 seconds at first, twice
   as long each time, 4 at most, and never the same for two of us: a peer that is back has its tunnels within
   five, UDP with them. Only a tunnel that stays ends that.
2. A gateway of the peer that no dial has come to is looked for by so many tries a minute: four for each
   gateway that the peer has, because chance decides which of them answers. One that found any costs nothing.
"""

from collections.abc import Callable

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 4.0
_FEWEST_TRIES = 8
_TRIES_EACH = 4
_MINUTE = 60.0
STAYS = 10.0
"""Seconds after which a tunnel counts as one that stays."""


class Pace:
    """When one peer may be dialled again; `jitter` gives numbers of [0, 1)."""

    def __init__(self, *, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._pause = _FIRST_PAUSE
        self._not_before = 0.0

    def failed(self, *, now: float) -> None:
        """A dial came to nothing, or to a tunnel that was soon gone. Several in one pause count once."""
        if now >= self._not_before:
            self._not_before = now + self._pause * (1 + self._jitter()) / 2
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def stayed(self) -> None:
        """A tunnel has proved good."""
        self._pause = _FIRST_PAUSE

    def wait(self, *, now: float) -> float:
        """Seconds until the next dial."""
        return max(0.0, self._not_before - now)


class Tries:
    """How often gateways without a tunnel may still be looked for."""

    def __init__(self) -> None:
        self._left: float | None = None
        self._at = 0.0

    def take(self, *, now: float, gateways: int) -> bool:
        """Whether one more try may be made, behind whose addresses there are so many gateways."""
        most = float(max(_FEWEST_TRIES, _TRIES_EACH * gateways))
        left = most if self._left is None else min(most, self._left + most * (now - self._at) / _MINUTE)
        self._at = now
        self._left = left - 1 if left >= 1 else left
        return left >= 1

    def give_back(self) -> None:
        """The try has found one of them."""
        if self._left is not None:
            self._left += 1
