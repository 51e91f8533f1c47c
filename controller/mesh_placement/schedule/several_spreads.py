"""Several hard spreads at once: how many each combination of values gets so that none is exceeded.

One spread is levelled directly (`sharing`, `select`). Of several, each alone may be kept by a choice that
another one forbids: what goes too far is moved to other combinations first and given up last.

1. The result has the sum of what was asked for if any division of it keeps all spreads, as far as
   `MOST_TRIED` tries find one; for a handful of combinations that is every one there is.
2. What is there already is not taken away for a spread: a value may keep what it had.
3. It is as near to what was asked for as the way there was short; equal moves are made in the given order.
"""

import heapq
from collections.abc import Iterator, Sequence

from msgspec import Struct

MOST_TRIED = 4000


class Cell(Struct, frozen=True):
    """All clusters with the same value in each spread. They get from `least` to `most` together, and `had` so
    many."""

    values: tuple[str, ...]
    least: int
    most: int
    had: int = 0


def within_all(skews: Sequence[int], cells: Sequence[Cell], asked: Sequence[int]) -> list[int]:
    """As much of `asked` as keeps all skews, by cell; `asked` lies within `least` and `most`."""
    rule = _Rule(skews, cells)
    now = tuple(asked)
    while True:
        found = rule.settled(now)
        if found is not None:
            return list(found)
        fewer = rule.one_less(now)
        if fewer is None:
            return list(now)
        now = fewer


_State = tuple[int, ...]


class _Rule:
    def __init__(self, skews: Sequence[int], cells: Sequence[Cell]) -> None:
        self._skews, self._cells = skews, cells
        # By spread: the number of each value; by cell the number of its value in each spread.
        names = [sorted({one.values[at] for one in cells}) for at in range(len(skews))]
        numbers = [{name: at for at, name in enumerate(some)} for some in names]
        self._where = [[numbers[at][one.values[at]] for at in range(len(skews))] for one in cells]
        self._sizes = [len(some) for some in names]
        self._had: list[list[int]] = self._sums([one.had for one in cells])

    def settled(self, state: _State) -> _State | None:
        """One with the same sum and no spread exceeded: downhill as long as that goes, then the least bad of
        all that were met."""
        cost, count = self._cost(state), 0
        waiting, seen = [(cost, count, state)], {state}
        while waiting and count < MOST_TRIED:
            cost, _, state = heapq.heappop(waiting)
            if not cost:
                return state
            for other in self._moves(state):
                if other in seen:
                    continue
                seen.add(other)
                count += 1
                worse = self._cost(other)
                heapq.heappush(waiting, (worse, count, other))
                if worse < cost:
                    # Downhill at once: at a hundred combinations the rest of the moves is a waste.
                    heapq.heappush(waiting, (cost, count, state))
                    break
        return None

    def one_less(self, state: _State) -> _State | None:
        """With one less where that helps most, the last of equals."""
        fewer = [
            _changed(state, at, -1)
            for at, one in enumerate(self._cells)
            if state[at] > min(one.least, one.had)
        ]
        return min(reversed(fewer), key=self._cost, default=None)

    def _moves(self, state: _State) -> Iterator[_State]:
        sums = self._sums(state)
        over = [
            {at for at, count in enumerate(some) if count > self._limit(spread, at, min(some))}
            for spread, some in enumerate(sums)
        ]
        # What is in a value that has too many comes first.
        sources = sorted(
            (at for at, one in enumerate(self._cells) if state[at] > one.least),
            key=lambda at: -sum(place in over[spread] for spread, place in enumerate(self._where[at])),
        )
        targets = sorted(
            (at for at, one in enumerate(self._cells) if state[at] < one.most),
            key=lambda at: sum(sums[spread][place] for spread, place in enumerate(self._where[at])),
        )
        for source in sources:
            for target in targets:
                if source != target:
                    yield _changed(_changed(state, source, -1), target, 1)

    def _cost(self, state: _State) -> int:
        """How many there are beyond all limits."""
        total = 0
        for spread, some in enumerate(self._sums(state)):
            least = min(some, default=0)
            total += sum(max(0, count - self._limit(spread, at, least)) for at, count in enumerate(some))
        return total

    def _limit(self, spread: int, place: int, least: int) -> int:
        return max(least + self._skews[spread], self._had[spread][place])

    def _sums(self, state: Sequence[int]) -> list[list[int]]:
        found = [[0] * size for size in self._sizes]
        for at, count in enumerate(state):
            for spread, place in enumerate(self._where[at]):
                found[spread][place] += count
        return found


def _changed(state: _State, at: int, by: int) -> _State:
    return (*state[:at], state[at] + by, *state[at + 1 :])
