"""The ports that are listened to in advance: those that imports may get next (ruling 6, decision 0014).

1. The controller gives an import one of the lowest `WINDOW` ports that nobody claims and that are not at rest
   (`mesh_core.ports`). Twice as many are kept here, because claims and grants are seen late.
2. What is at rest is not read but seen: a port whose claim went is at rest from then on. A gateway that has
   just started does not know what went before; it knows it after `REST` seconds, and until then a new port
   may be listened to only when its slice comes, as a port of any number once was.
3. When a rest ends is not known to the second. For `_DOUBT` seconds before and after, such a port is
   listened to, and another one as well.
4. A port whose claim went is listened to for `_LINGER` seconds more: its slice may be on its way back, and
   kube-proxies may lag.

Times are seconds of a monotonic clock and are passed in.
"""

from collections.abc import Set
from itertools import islice
from typing import Final

from mesh_core.names import EGRESS_PORTS
from mesh_core.ports import REST, WINDOW

HELD: Final = 2 * WINDOW
_LINGER: Final = 30.0
_DOUBT: Final = 30.0
_SELDOM: Final = 10.0
"""Seconds between two looks that no change asks for: each costs a whole table."""


class Reserve:
    """Ports without a claim, of one gateway."""

    def __init__(self) -> None:
        self._claimed: frozenset[int] = frozenset()
        self._freed: dict[int, float] = {}

    def spare(self, claimed: Set[int], *, now: float) -> tuple[int, ...]:
        """What to listen to besides the ports that are `claimed` now, sorted."""
        for port in self._claimed - claimed:
            self._freed[port] = now
        self._claimed = frozenset(claimed)
        self._freed = {
            port: at for port, at in self._freed.items() if port not in claimed and now - at < REST + _DOUBT
        }
        free = (port for port in EGRESS_PORTS if port not in self._claimed and port not in self._freed)
        more = (port for port, at in self._freed.items() if not _LINGER <= now - at < REST - _DOUBT)
        return tuple(sorted((*islice(free, HELD), *more)))

    def wait(self, now: float) -> float | None:
        """Seconds until `spare` says something else by itself; None when it will not."""
        if not self._freed:
            return None
        steps = (_LINGER, REST - _DOUBT, REST + _DOUBT)
        ends = (at + step for at in self._freed.values() for step in steps)
        return max(min((end for end in ends if end > now), default=now) - now, _SELDOM)
