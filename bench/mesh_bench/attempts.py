"""What became of connections offered at a fixed rate, around the moment of a fault. Pure.

1. A failed connection belongs to the moment at which it began. The share is that of the window after the
   fault; what failed before it was not the fault's doing, and is said apart.
2. Recovered is when the last connection that failed in the window began, in seconds after the fault; 0 when
   none failed.
3. One that was served, but later than `SLOW`, is no failure; it is counted too.
"""

from collections import Counter
from dataclasses import dataclass

import msgspec

from mesh_bench.figures import Json, percentile

SLOW = 1.0


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """`begun` is of the monotonic clock, `took` in seconds; `fault` is "" for one that was served."""

    begun: float
    took: float
    fault: str = ""


class Attempts(msgspec.Struct, frozen=True):
    """All of them, by when they began."""

    made: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a fault did to the connections that began within `window` seconds after it."""

    window: float
    begun: int
    failed: int
    recovered: float
    slow: int
    p50: float
    p99: float
    faults: dict[str, int]
    failed_before: int

    @property
    def share(self) -> float:
        """Of all connections of the window, those that failed."""
        return self.failed / self.begun if self.begun else 0.0

    def as_json(self) -> Json:
        """As it stands in the results; times in seconds."""
        return {
            "window": round(self.window, 1),
            "begun": self.begun,
            "failed": self.failed,
            "failed_share": round(self.share, 6),
            "recovered": round(self.recovered, 2),
            "served_later_than_1s": self.slow,
            "p50": round(self.p50, 4),
            "p99": round(self.p99, 4),
            "faults": self.faults,
            "failed_before": self.failed_before,
        }


def outcome(attempts: Attempts, *, fault: float, window: float) -> Outcome:
    """What happened in the `window` seconds after the moment `fault` of the same clock."""
    within = [one for one in attempts.made if fault <= one.begun < fault + window]
    failed = [one for one in within if one.fault]
    served = [one.took for one in within if not one.fault]
    return Outcome(
        window=window,
        begun=len(within),
        failed=len(failed),
        recovered=max((one.begun - fault for one in failed), default=0.0),
        slow=sum(took > SLOW for took in served),
        p50=percentile(served, share=0.5) if served else 0.0,
        p99=percentile(served, share=0.99) if served else 0.0,
        faults=dict(sorted(Counter(one.fault for one in failed).items())),
        failed_before=sum(bool(one.fault) for one in attempts.made if one.begun < fault),
    )
