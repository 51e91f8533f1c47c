"""Several hard spreads at once: how many each combination of values gets so that none is exceeded.

One spread is levelled directly (`sharing`, `select`). Of several, each alone may be kept by a choice that
another one forbids: what goes too far is moved to other combinations first and given up last.

1. No division that keeps all spreads places more, where `MOST_TRIED` tries are all there are: that is so for
   a handful of combinations. Of dozens that lack room it may be fewer; where they have room it is all.
   Tries are bounded (`tries`): where they are spent, less is placed than could be, and no spread is exceeded.
2. What is there already is not taken away for a spread: a value may keep what it had.
3. It is as near to what was asked for as the way there was short; equal moves are made in the given order.
"""

import heapq
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from mesh_placement.schedule.tries import MOST_STEPS, Tries

MOST_TRIED = 2000
MANY = 32
"""Combinations, beyond which no search ends."""
_FEW, _FEW_TRIES = 4, 100


class Cell(Struct, frozen=True):
    """All clusters with the same value in each spread. They get from `least` to `most` together, and `had` so
    many."""

    values: tuple[str, ...]
    least: int
    most: int
    had: int = 0


def within_all(
    skews: Sequence[int], cells: Sequence[Cell], asked: Sequence[int], *, tries: Tries | None = None
) -> list[int]:
    """As much of `asked` as keeps all skews, by cell; `asked` lies within `least` and `most`."""
    tries = tries or Tries(2 * MOST_STEPS)
    rule = _Rule(skews, _tightened(skews, cells), tries)
    now, left = rule.filled(asked), MOST_TRIED
    rule.spend_half()
    while left and not rule.is_over:
        found, left = rule.settled(now, left)
        if found is not None:
            return list(found)
        fewer = rule.one_less(now)
        if fewer is None:
            return list(now)
        now = fewer
    tries.has_given_up = True
    rule.spend_half()
    trimmed = rule.trimmed(now)
    rule.spend_rest()
    return list(max(trimmed, rule.grown(sum(now), asked), key=sum))


def _tightened(skews: Sequence[int], cells: Sequence[Cell]) -> list[Cell]:
    """Without what no division could give them: a value has no more than the least one can, and the skew."""
    found = list(cells)
    while True:
        before = [one.most for one in found]
        for spread, skew in enumerate(skews):
            caps: dict[str, int] = {}
            had: dict[str, int] = {}
            for one in found:
                value = one.values[spread]
                caps[value] = caps.get(value, 0) + one.most
                had[value] = had.get(value, 0) + one.had
            least = min(caps.values(), default=0)
            found = [
                replace(one, most=max(one.least, min(one.most, max(least + skew, had[one.values[spread]]))))
                for one in found
            ]
        if before == [one.most for one in found]:
            return found


_State = tuple[int, ...]


class _Rule:
    def __init__(self, skews: Sequence[int], cells: Sequence[Cell], tries: Tries) -> None:
        self._skews, self._cells = skews, cells
        self._tries, self._until = tries, 0
        # By spread: the number of each value; by cell the number of its value in each spread.
        names = [sorted({one.values[at] for one in cells}) for at in range(len(skews))]
        numbers = [{name: at for at, name in enumerate(some)} for some in names]
        self._where = [[numbers[at][one.values[at]] for at in range(len(skews))] for one in cells]
        self._sizes = [len(some) for some in names]
        self._had: list[list[int]] = self._sums([one.had for one in cells])

    @property
    def is_over(self) -> bool:
        """Whether what this part of the search may spend is spent."""
        return self._tries.left <= self._until

    def spend_half(self) -> None:
        """Of what is left, from now on."""
        self._until = max(0, self._tries.left // 2)

    def spend_rest(self) -> None:
        """All that is left."""
        self._until = 0

    def filled(self, asked: Sequence[int]) -> _State:
        """Within the bounds of the cells, with the sum of what was asked for if that can be."""
        now = [min(count, one.most) for count, one in zip(asked, self._cells, strict=True)]
        rest = min(sum(asked), self._most()) - sum(now)
        for at, one in enumerate(self._cells):
            more = max(0, min(rest, one.most - now[at]))
            now[at] += more
            rest -= more
        for at in sorted(range(len(now)), key=lambda at: -now[at]) if rest < 0 else ():
            less = max(0, min(-rest, now[at] - self._cells[at].least))
            now[at] -= less
            rest += less
        return tuple(now)

    def settled(self, state: _State, tries: int) -> tuple[_State | None, int]:
        """One with the same sum and no spread exceeded, and the tries that are left: downhill as long as that
        goes, then the least bad of all that were met."""
        cost, count = self._cost(state), 0
        waiting, seen = [(cost, count, state)], {state}
        while waiting:
            cost, _, state = heapq.heappop(waiting)
            if not cost:
                return state, tries
            for other in self._moves(state):
                if other in seen:
                    continue
                if not tries or self.is_over:
                    return None, 0
                tries -= 1
                seen.add(other)
                count += 1
                worse = self._cost(other)
                heapq.heappush(waiting, (worse, count, other))
                if worse < cost:
                    # Downhill at once: at a hundred combinations the rest of the moves is a waste.
                    heapq.heappush(waiting, (cost, count, state))
                    break
        return None, tries

    def trimmed(self, state: _State) -> _State:
        """Less and less until no spread is exceeded; of very many cells the largest of the worst value, and
        where the tries are spent all at once that it has too many."""
        is_small = len(state) <= MANY
        while is_small and not self.is_over and self._cost(state):
            fewer = self.one_less(state)
            if fewer is None:
                break
            state = fewer
        now = list(state)
        while self._cost(now):
            over, spread, place = max(self._over(now))
            inside = [at for at in range(len(now)) if self._where[at][spread] == place]
            at = max(inside, key=lambda at: now[at] - self._cells[at].had)
            now[at] -= min(over, max(1, now[at] - self._cells[at].had)) if self.is_over else 1
        return tuple(now)

    def grown(self, total: int, asked: Sequence[int]) -> _State:
        """From what is there one more at a time, where values have least, until that exceeds a spread."""
        state = tuple(min(one.least, one.had) for one in self._cells)
        for _ in range(total - sum(state)):
            if self.is_over:
                return state
            self._tries.spend(2 * len(state))
            sums = self._sums(state)

            def merit(at: int, state: _State = state, sums: list[list[int]] = sums) -> tuple[int, int]:
                has = max(sums[spread][place] for spread, place in enumerate(self._where[at]))
                return has, state[at] - asked[at]

            more = sorted((at for at, one in enumerate(self._cells) if state[at] < one.most), key=merit)
            bigger: _State | None = next(
                (one for one in (_changed(state, at, 1) for at in more) if not self._cost(one)), None
            )
            for one in (_changed(state, at, 1) for at in more[:_FEW] if bigger is None):
                bigger = bigger or self.settled(one, _FEW_TRIES)[0]
            if bigger is None:
                return state
            state = bigger
        return state

    def one_less(self, state: _State) -> _State | None:
        """With one less where that helps most, the last of equals."""
        fewer = [
            _changed(state, at, -1)
            for at, one in enumerate(self._cells)
            if state[at] > min(one.least, one.had)
        ]
        return min(reversed(fewer), key=self._cost, default=None)

    def _most(self) -> int:
        """More than that cannot be placed in all."""
        bounds = []
        for spread, size in enumerate(self._sizes):
            caps = [0] * size
            for at, one in enumerate(self._cells):
                caps[self._where[at][spread]] += one.most
            least = min(caps, default=0)
            bounds.append(sum(min(cap, self._limit(spread, place, least)) for place, cap in enumerate(caps)))
        return min(bounds, default=0)

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

    def _cost(self, state: Sequence[int]) -> int:
        """How many there are beyond all limits."""
        self._tries.spend(len(state) * len(self._skews))
        return sum(over for over, _, _ in self._over(state))

    def _over(self, state: Sequence[int]) -> list[tuple[int, int, int]]:
        """By how much, of which spread, the which of its values."""
        found = []
        for spread, some in enumerate(self._sums(state)):
            least = min(some, default=0)
            for place, count in enumerate(some):
                if count > (limit := self._limit(spread, place, least)):
                    found.append((count - limit, spread, place))
        return found

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
