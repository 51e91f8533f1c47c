"""A work queue in which lanes take turns, so that one with very many keys does not keep the others waiting.

1. Lanes are served in turn, one key each; within a lane the first that came goes first.
2. Of one lane at most `most` keys are worked at a time, so that a newcomer finds a worker that is free, or
   soon will be, if there are more workers than that.
3. A key stays in the lane in which it was when it was added, until it has been worked.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from mesh_runtime.work import WorkQueue

K = TypeVar("K", bound=Hashable)


class FairQueue(WorkQueue[K]):
    """`lane` says whose a key is; every key is urgent."""

    def __init__(self, *, lane: Callable[[K], Hashable], most: int) -> None:
        super().__init__()
        self._lane = lane
        self._most = most
        # In the order of their turns; each has the keys of its own that wait.
        self._lanes: dict[Hashable, dict[K, None]] = {}
        self._lane_of: dict[K, Hashable] = {}
        self._worked: Counter[Hashable] = Counter()

    def add(self, key: K) -> None:
        """As of any queue."""
        super().add(key)
        if key in self._waiting and key not in self._lane_of:
            lane = self._lane_of[key] = self._lane(key)
            self._lanes.setdefault(lane, {})[key] = None

    async def take(self) -> K:
        """The first of the lane whose turn it is."""
        key = await super().take()
        lane = self._lane_of[key]
        rest = self._lanes.pop(lane)
        del rest[key]
        if rest:
            self._lanes[lane] = rest
        self._worked[lane] += 1
        return key

    def _first(self, waiting: Mapping[K, None]) -> K | None:
        open_lanes = (keys for lane, keys in self._lanes.items() if self._worked[lane] < self._most)
        return next((next(iter(keys)) for keys in open_lanes), None)

    def _leave(self, key: K) -> None:
        lane = self._lane_of.pop(key)
        self._worked[lane] -= 1
        if not self._worked[lane]:
            del self._worked[lane]
        super()._leave(key)
