"""Whether a member's Lease is renewed, and what follows of it.

1. Silence is measured by the hub's own monotonic clock, since it saw renewTime change: the clocks of member
   and hub are never compared.
2. A hub that starts has seen nothing yet. It waits a whole period before it calls a member lost, and until
   it sees a renewal it does not call one found again that was lost before (`lostSince` says so).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from mesh_placement.objects import LeaseTimes

GRACE: Final = 2.0
"""Seconds beyond the missed renewals, for the way of the last one."""
_LATE_AFTER: Final = 2  # durations


class Pulse(Enum):
    """What the Lease says of the member."""

    NEVER = "never renewed"
    FRESH = "fresh"
    LATE = "late"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heart:
    """What this hub saw of a Lease: whether it was ever renewed, for how many seconds it has been silent,
    and whether this hub saw a renewal itself."""

    renewed: bool
    silent: float
    seen: bool


UNSEEN: Final = Heart(renewed=False, silent=0.0, seen=False)


def pulse_of(heart: Heart, *, times: LeaseTimes, joined: bool, lost: bool) -> Pulse:
    """`joined` and `lost` are what was known before: that it renewed once, and that it was lost last."""
    if not (heart.renewed or joined):
        return Pulse.NEVER
    if heart.silent > lost_after(times) or (lost and not heart.seen):
        return Pulse.LOST
    return Pulse.LATE if heart.silent > late_after(times) else Pulse.FRESH


def seconds_to_change(heart: Heart, *, times: LeaseTimes) -> float | None:
    """Until silence alone will change the pulse; None when it cannot any more."""
    ahead = [
        limit - heart.silent for limit in (late_after(times), lost_after(times)) if limit >= heart.silent
    ]
    # A little behind the limit, because a timer may be early by its own resolution.
    return min(ahead) + 0.05 if ahead else None


def late_after(times: LeaseTimes) -> float:
    """Seconds of silence after which a member is suspect."""
    return float(times.duration_seconds * _LATE_AFTER)


def lost_after(times: LeaseTimes) -> float:
    """Seconds of silence after which it is unreachable."""
    return times.duration_seconds * times.missed + GRACE
