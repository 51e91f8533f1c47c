"""Which cluster is nearer, decided so that two of about the same distance do not change places all the time.

1. A cluster without a MeshPeer is our own and comes first; then peers by their round trip; then those whose
   round trip nobody measured. What is equal goes by cluster id.
2. A peer whose round trip becomes known has its place at once. After that one peer passes another only when
   it has been clearly nearer, by a fifth and by `LEAST`, for `HOLD` seconds without a break.
3. Nobody passes a peer that it is not clearly nearer than, so one may stay behind another that is clearly
   farther, with a third between them that is neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Final

HOLD: Final = 60.0
LEAST: Final = 2_000
"""Microseconds."""
_SHARE: Final = 5

Pair = tuple[str, str]
"""Of peers: who is in front, who is behind."""


@dataclass(frozen=True, slots=True)
class Nearness:
    """`rtts` are the round trips of all peers in microseconds, 0 for not measured; `order` are the measured
    ones, nearest first. `since` is when somebody behind began to be clearly nearer, in seconds of the clock.
    """

    rtts: Mapping[str, int] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    since: Mapping[Pair, float] = field(default_factory=dict)

    def places(self) -> dict[str, int]:
        """The place of each peer; of the same place are all that nobody measured. Our own would have 0."""
        last = len(self.order) + 1
        return dict.fromkeys(self.rtts, last) | {
            name: place for place, name in enumerate(self.order, start=1)
        }

    def due(self, *, now: float) -> float | None:
        """Seconds until the order may change though nothing else does; None: it will not."""
        waits = [began + HOLD - now for began in self.since.values() if began + HOLD > now]
        return min(waits, default=None)

    def after(self, rtts: Mapping[str, int], *, now: float) -> "Nearness":
        """With the round trips of all peers of now. One that is not measured any more keeps what it had."""
        kept = {name: rtt or self.rtts.get(name, 0) for name, rtt in rtts.items()}
        order = [name for name in self.order if kept.get(name)]
        for name in sorted(kept.keys() - set(order), key=lambda one: (kept[one], one)):
            if kept[name]:
                _insert(name, order=order, rtts=kept)
        since = {
            (front, behind): self.since.get((front, behind), now)
            for front, behind in combinations(order, 2)
            if _is_clearly_nearer(kept[behind], than=kept[front])
        }
        _pass(order, since=since, now=now)
        front = {name: place for place, name in enumerate(order)}
        still = {pair: began for pair, began in since.items() if front[pair[0]] < front[pair[1]]}
        return Nearness(kept, tuple(order), still)


def _is_clearly_nearer(rtt: int, *, than: int) -> bool:
    return than - rtt >= LEAST and (than - rtt) * _SHARE >= than


def _insert(name: str, *, order: list[str], rtts: Mapping[str, int]) -> None:
    places = (place for place, other in enumerate(order) if rtts[other] > rtts[name])
    order.insert(next(places, len(order)), name)


def _pass(order: list[str], *, since: Mapping[Pair, float], now: float) -> None:
    """Let neighbours in the order pass until none may; no two of them meet twice, so it ends."""
    has_passed = True
    while has_passed:
        has_passed = False
        for place, pair in enumerate(pairwise(order)):
            if now - since.get(pair, now) >= HOLD:
                order[place : place + 2] = reversed(pair)
                has_passed = True
                break
