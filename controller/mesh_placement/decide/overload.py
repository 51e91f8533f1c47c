"""Whether the hub keeps its pace: how long it takes to decide, and how long what is to be done waits.

1. It is overloaded while, in the last `WINDOW` seconds, the slowest hundredth of its cycles took longer than
   `CYCLE`, or the slowest hundredth of what was waiting waited longer than `WAIT`; and while a cycle has been
   going on for longer than that, or something has been waiting for longer.
2. What was slow once counts until it is out of the window, so the word does not flicker.
3. Nothing is forgotten for being much: of more than `MOST` samples the newest count.

Times are those of one clock that never goes back.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Final

WINDOW: Final = 300.0
CYCLE: Final = 5.0
WAIT: Final = 30.0
MOST: Final = 2_048
HUB_OVERLOADED: Final = "HubOverloaded"


class LoadReason(StrEnum):
    """The closed list of reasons of the condition."""

    KEEPS_PACE = "KeepsPace"
    SLOW_CYCLES = "SlowCycles"
    LONG_QUEUE = "LongQueue"


@dataclass(frozen=True, slots=True)
class Load:
    """Seconds: of the slowest hundredth of cycles and waits of the window, and of what goes on now."""

    cycle_p50: float = 0.0
    cycle_p99: float = 0.0
    wait_p99: float = 0.0
    cycle_now: float = 0.0
    wait_now: float = 0.0

    @property
    def reason(self) -> LoadReason:
        """Law 1; where both hold, slow cycles are the cause of what waits."""
        if max(self.cycle_p99, self.cycle_now) > CYCLE:
            return LoadReason.SLOW_CYCLES
        if max(self.wait_p99, self.wait_now) > WAIT:
            return LoadReason.LONG_QUEUE
        return LoadReason.KEEPS_PACE

    @property
    def is_overloaded(self) -> bool:
        """Whether it is not."""
        return self.reason is not LoadReason.KEEPS_PACE

    @property
    def message(self) -> str:
        """For people: what it is, by which bound, and what to do."""
        match self.reason:
            case LoadReason.SLOW_CYCLES:
                took = max(self.cycle_p99, self.cycle_now)
                return (
                    f"to decide takes {took:.1f} s, more than {CYCLE:.0f} s; give the hub more cpu, or have "
                    "fewer Placements and clusters"
                )
            case LoadReason.LONG_QUEUE:
                waits = max(self.wait_p99, self.wait_now)
                return (
                    f"what is decided waits {waits:.0f} s to be written, more than {WAIT:.0f} s; look at the "
                    "hub's API server, and at the budgets of its members"
                )
            case LoadReason.KEEPS_PACE:
                return f"to decide takes at most {CYCLE:.0f} s, and nothing waits longer than {WAIT:.0f} s"


class LoadBook:
    """Of one term of leadership."""

    def __init__(self) -> None:
        self.cycles = 0
        self._cycles: deque[tuple[float, float]] = deque(maxlen=MOST)
        self._waits: deque[tuple[float, float]] = deque(maxlen=MOST)
        self._since: float | None = None

    def begin(self, now: float) -> None:
        """A cycle begins."""
        self._since = now

    def end(self, now: float) -> None:
        """It is over, or has failed."""
        if self._since is not None:
            self._cycles.append((now, now - self._since))
            self.cycles += 1
        self._since = None

    def waited(self, seconds: float, *, now: float) -> None:
        """Something was taken up that had been waiting for so long."""
        self._waits.append((now, seconds))

    def load(self, now: float, *, oldest: float | None) -> Load:
        """As it is; `oldest` is since when something waits, None for nothing."""
        cycles, waits = _within(self._cycles, now), _within(self._waits, now)
        return Load(
            cycle_p50=_quantile(cycles, 0.5),
            cycle_p99=_quantile(cycles, 0.99),
            wait_p99=_quantile(waits, 0.99),
            cycle_now=now - self._since if self._since is not None else 0.0,
            wait_now=now - oldest if oldest is not None else 0.0,
        )


def _within(samples: deque[tuple[float, float]], now: float) -> list[float]:
    while samples and samples[0][0] <= now - WINDOW:
        samples.popleft()
    return sorted(seconds for _, seconds in samples)


def _quantile(ordered: Iterable[float], share: float) -> float:
    values = list(ordered)
    return values[max(0, ceil(share * len(values)) - 1)] if values else 0.0
