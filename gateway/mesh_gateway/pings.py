"""The pings of one tunnel: which are out, and how long the way is. Pure but for the clock that it is given.

1. The round-trip time is the least of the last pings: a ping that waits behind bulk measures the queue.
2. It is measured with a clock of its own. uvloop's counts whole milliseconds, and stands still while the loop
   works: on it a round trip within a data centre is 0.
3. How many are out is bounded, and an answer to one ends the older ones as well.
"""

import secrets
from collections import deque
from collections.abc import Callable

_COUNT = 10
"""Of so many pings the quickest counts."""
_FIRST = 3
"""So many follow one another at the start; the first may have waited for the other end's handshake."""
_MOST_OUT = 64
"""Of so many it is remembered when they went out."""
_LEAST = 1e-6
"""Seconds; 0 would mean that nobody measured."""


class Pings:
    """`clock` gives seconds, as finely as round trips are to be known."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._out: dict[int, float] = {}
        self._rtts: deque[float] = deque(maxlen=_COUNT)

    @property
    def out(self) -> int:
        """How many were not answered yet."""
        return len(self._out)

    @property
    def is_full(self) -> bool:
        """Whether more are out than are remembered."""
        return len(self._out) > _MOST_OUT

    @property
    def is_settling(self) -> bool:
        """Whether another should follow at once, because too few were answered yet."""
        return len(self._rtts) < _FIRST

    @property
    def rtt(self) -> float | None:
        """Seconds of the quickest of the last ones; None before the first was answered."""
        return min(self._rtts) if self._rtts else None

    @property
    def last(self) -> float:
        """Seconds of the last one that was answered; 0 before."""
        return self._rtts[-1] if self._rtts else 0.0

    def new(self, *, but: int = 0) -> int:
        """A number, not `but`, that the other end cannot know before the ping has come, lest it seem near."""
        number = 0
        while number in (0, but) or number in self._out:
            number = secrets.randbits(32)
        return number

    def sent(self, number: int) -> None:
        """It goes out now."""
        if self.is_full:
            del self._out[next(iter(self._out))]
        self._out[number] = self._clock()

    def answered(self, number: int) -> bool:
        """Whether that is an answer to one that is out; it is measured then."""
        sent = self._out.pop(number, None)
        if sent is None:
            return False
        self._rtts.append(max(_LEAST, self._clock() - sent))
        # Older ones will not be answered any more, or do not matter.
        for older in [other for other, at in self._out.items() if at <= sent]:
            del self._out[older]
        return True
