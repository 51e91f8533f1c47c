"""Things that belong to somebody, and who has most of them: each question takes the same time, however many.

Of several that have as many as anybody it is the one that got there first.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Owner = TypeVar("Owner", bound=Hashable)
Thing = TypeVar("Thing", bound=Hashable)


class Heaviest(Generic[Owner, Thing]):
    """Each thing is added once, to one owner."""

    def __init__(self) -> None:
        self._things: dict[Owner, OrderedDict[Thing, None]] = {}
        self._by_count: dict[int, dict[Owner, None]] = {}
        self._most = 0

    def count(self, owner: Owner) -> int:
        """How many things the owner has."""
        return len(self._things.get(owner, ()))

    def oldest(self, owner: Owner | None = None) -> Thing | None:
        """The first thing of the owner, of whoever has most without one; None when there is none."""
        if owner is None:
            if not self._most:
                return None
            owner = next(iter(self._by_count[self._most]))
        things = self._things.get(owner)
        return next(iter(things)) if things else None

    def add(self, owner: Owner, thing: Thing) -> None:
        """Adds a thing, as the owner's last."""
        things = self._things.setdefault(owner, OrderedDict())
        before = len(things)
        things[thing] = None
        self._move(owner, before=before, after=before + 1)

    def use(self, owner: Owner, thing: Thing) -> None:
        """Makes a thing its owner's last."""
        self._things[owner].move_to_end(thing)

    def remove(self, owner: Owner, thing: Thing) -> None:
        """Removes a thing that was added."""
        things = self._things[owner]
        before = len(things)
        del things[thing]
        if not things:
            del self._things[owner]
        self._move(owner, before=before, after=before - 1)

    def _move(self, owner: Owner, *, before: int, after: int) -> None:
        if before:
            same = self._by_count[before]
            del same[owner]
            if not same:
                del self._by_count[before]
        if after:
            self._by_count.setdefault(after, {})[owner] = None
        # The one that was moved is never further than one from the old number.
        if after > self._most or (before == self._most and before not in self._by_count):
            self._most = after
