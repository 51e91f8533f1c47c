"""Which of several clusters is the hub: whoever holds a Lease in more than half of the witnesses. Pure.

Times are seconds of the candidate's own monotonic clock; no two clocks are compared.

1. A Lease is taken over only when it has not changed for `LEASE_SECONDS` since it was first read so, and only
   as it was read: every write carries the resourceVersion.
2. A Lease is ours for `RENEW_LIMIT` from when its renewal was *asked* for. So who leads stops before anybody
   else may begin, even where its process stood still; the two may be wrong by a third for clocks of machines.
3. Two majorities have a witness in common, so of two candidates at most one leads.
4. A term is one leader's: it is greater than all that its majority had seen, and no witness goes back. By it
   what a leader wrote is told from what the one before him wrote.
5. Nobody stands where a majority cannot be had: who is cut off does not disturb those who are not.
6. One witness that lies about its term is not believed: it cannot drive the count to its end.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LEASE_SECONDS: Final = 15
RENEW_LIMIT: Final = 10.0
RETRY_SECONDS: Final = 2.5
FARTHEST_TERM: Final = 10_000
"""By how much one witness may be ahead of all others."""


@dataclass(frozen=True, slots=True)
class SeenLease:
    """A witness's Lease as it was read; `version` is its resourceVersion, "" where there is none yet."""

    holder: str = ""
    term: int = 0
    version: str = ""


@dataclass(frozen=True, slots=True)
class Bid:
    """A Lease to be written for `term`, over the one with that version ("": to be made)."""

    witness: str
    version: str
    term: int


@dataclass(frozen=True, slots=True)
class _View:
    lease: SeenLease
    since: float


@dataclass(frozen=True, slots=True)
class _Hold:
    until: float
    term: int


class Candidacy:
    """One candidate's knowledge; `name` is the holder's identity, no other process has it."""

    def __init__(self, name: str, *, witnesses: Iterable[str]) -> None:
        self.name = name
        self.witnesses = tuple(sorted(witnesses))
        self.term = 0
        self._views: dict[str, _View] = {}
        self._holds: dict[str, _Hold] = {}

    @property
    def majority(self) -> int:
        """How many witnesses are more than half."""
        return len(self.witnesses) // 2 + 1

    def read(self, witness: str, lease: SeenLease, *, now: float) -> None:
        """The answer came at `now`."""
        known = self._views.get(witness)
        if known is None or known.lease != lease:
            self._views[witness] = _View(lease, now)
        if lease.holder != self.name:
            self._holds.pop(witness, None)

    def bids(self, answered: Iterable[str], *, now: float) -> tuple[Bid, ...]:
        """What to write after a look at which these witnesses `answered`, in this order; nothing where no
        majority can be had. Whoever does not lead begins a term by it."""
        views = {name: self._views[name] for name in answered if name in self._views}
        believed = _believed({name: view.lease.term for name, view in views.items()})
        free = [name for name in self.witnesses if name in believed and self._is_free(views[name], now=now)]
        if self.leads(now=now):
            ours = [name for name in free if views[name].lease.term <= self.term]
            return tuple(Bid(name, views[name].lease.version, self.term) for name in ours)
        if len(free) < self.majority:
            return ()
        self.term = max([self.term, *(views[name].lease.term for name in believed)]) + 1
        return tuple(Bid(name, views[name].lease.version, self.term) for name in free)

    def won(self, bid: Bid, *, asked: float) -> None:
        """The Lease was written as we asked at `asked`."""
        self._holds[bid.witness] = _Hold(asked + RENEW_LIMIT, bid.term)

    def held(self, *, now: float) -> tuple[str, ...]:
        """The witnesses that are ours in this term."""
        return tuple(
            name
            for name in self.witnesses
            if (hold := self._holds.get(name)) is not None and hold.until > now and hold.term == self.term
        )

    def leads(self, *, now: float) -> bool:
        """Whether nobody else can lead at `now`."""
        return len(self.held(now=now)) >= self.majority

    def leads_until(self) -> float:
        """When that ends if nothing is renewed; of the past where it has ended."""
        ends = sorted((hold.until for hold in self._holds.values() if hold.term == self.term), reverse=True)
        return ends[self.majority - 1] if len(ends) >= self.majority else float("-inf")

    def resign(self) -> tuple[str, ...]:
        """Hold nothing any more; where we are, or may be, written down as the holder."""
        written = {name for name, view in self._views.items() if view.lease.holder == self.name}
        held = tuple(sorted(written | self._holds.keys()))
        self._holds.clear()
        return held

    def _is_free(self, view: _View, *, now: float) -> bool:
        return view.lease.holder in ("", self.name) or now - view.since > LEASE_SECONDS


def _believed(terms: dict[str, int]) -> frozenset[str]:
    """Law 6: all but one that is far ahead of every other."""
    ordered = sorted(terms.values())
    if len(ordered) < 2:
        return frozenset(terms)
    return frozenset(name for name, term in terms.items() if term <= ordered[-2] + FARTHEST_TERM)
