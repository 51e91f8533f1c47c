"""Local endpoints that did not take connections lately: left alone for a growing while.

Without it every caller whose turn falls on a dead pod waits for the connect limit, until the slices say so.

1. An endpoint that failed is left alone for `FIRST` seconds, for twice as long after each further failure in
   a row, for `LONGEST` at most. A connection that it takes ends that.
2. When the time is over the next caller tries it, and the others keep off meanwhile.
3. Of the endpoints of one service at most half are left alone, those that failed most; when all failed none
   is: then it is rather ourselves who cannot reach them.
4. What is known of an address holds for all services that list it.

5. When nothing has failed for as long as `LONGEST` after the last rest, all is forgotten.

Times are seconds of one clock and passed in.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from mesh_gateway.route import Address

FIRST = 1.0
LONGEST = 60.0
_MOST = 4096
_NOBODY: frozenset[Address] = frozenset()


@dataclass(slots=True)
class _Failing:
    rest: float
    until: float


class Ejection:
    """What failed lately; of more than 4,096 addresses those that failed longest ago are forgotten."""

    def __init__(self) -> None:
        self._failing: dict[Address, _Failing] = {}
        self._latest = 0.0  # the end of the last rest

    @property
    def is_quiet(self) -> bool:
        """Whether nothing failed lately: then there is nothing to ask, and nothing to tell but failures."""
        return not self._failing

    def failed(self, endpoint: Address, *, now: float) -> None:
        """It did not take a connection."""
        known = self._failing.pop(endpoint, None)
        rest = FIRST if known is None else min(2 * known.rest, LONGEST)
        self._failing[endpoint] = _Failing(rest=rest, until=now + rest)
        self._latest = max(self._latest, now + rest)
        if len(self._failing) > _MOST:
            del self._failing[next(iter(self._failing))]

    def worked(self, endpoint: Address) -> None:
        """It took one."""
        self._failing.pop(endpoint, None)

    def asked(self, endpoint: Address, *, now: float) -> None:
        """Somebody tries it now; if it had failed, others keep off meanwhile."""
        known = self._failing.get(endpoint)
        if known is not None:
            known.until = max(known.until, now + known.rest)
            self._latest = max(self._latest, known.until)

    def count(self, *, now: float) -> int:
        """How many of all addresses are resting."""
        return sum(known.until > now for known in self._failing.values())

    def ejected(self, endpoints: Sequence[Address], *, now: float) -> AbstractSet[Address]:
        """Those of one service's endpoints that are to be left alone; at most half of them."""
        if now > self._latest + LONGEST:
            self._failing.clear()
            return _NOBODY
        resting = [
            (known.rest, known.until, endpoint)
            for endpoint in endpoints
            if (known := self._failing.get(endpoint)) is not None and known.until > now
        ]
        if not resting or len(resting) == len(endpoints):
            return _NOBODY
        resting.sort(reverse=True)
        return {endpoint for *_, endpoint in resting[: len(endpoints) // 2]}
