"""Tells what changes about exports, imports, peers and trust: from the watch caches, by the leading replica.

It looks at what the API server shows and not at what a loop is about to write: so it sees all writers, cannot
hold up or fail any of them, and says nothing of a write that never came to be.

1. What is there when a term of leadership begins is known and no news.
2. A certificate comes near its end without a write: peers and trust are looked at once a minute.
"""

import asyncio
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Final

from mesh_controller.caches import Caches
from mesh_controller.event_teller import EventTeller
from mesh_core.event_bodies import Regarding, regarding
from mesh_core.import_view import is_ours
from mesh_core.lifetimes import Window
from mesh_core.news import News, Observed, Told, news_of
from mesh_runtime.clock import Clock

EVERY: Final = 60.0

_Key = tuple[str, str, str]


class EventWatch:
    """Follows the caches; make it before they run. `ours` gives the life of this cluster's intermediate."""

    def __init__(
        self, *, caches: Caches, teller: EventTeller, ours: Callable[[], Window | None], clock: Clock
    ) -> None:
        self._caches = caches
        self._teller = teller
        self._ours = ours
        self._clock = clock
        self._told: dict[_Key, Told] | None = None
        caches.exports.follow(lambda _key, old, new: self._changed(old, new=new))
        caches.imports.follow(
            # Those of another implementation are its own to tell of.
            lambda _key, old, new: self._changed(old, new=new if new is not None and is_ours(new) else None)
        )
        caches.peers.follow(lambda _key, old, new: self._changed(old, new=new))
        caches.trust.follow(lambda _key, old, new: self._changed(old, new=new))

    async def run(self) -> None:
        """Tell, until cancelled because another replica leads; the caches must be complete."""
        self._told = {}
        caches = self._caches
        there: Iterable[Iterable[Observed]]
        there = (caches.exports.values(), caches.imports.values(), *self._looked_at_again())
        for seen in chain.from_iterable(there):
            self._news(seen)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._teller.run())
                group.create_task(self._look_again())
        finally:
            self._told = None
            self._teller.forget()

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            for seen in chain.from_iterable(self._looked_at_again()):
                self._tell(seen)

    def _looked_at_again(self) -> tuple[Iterable[Observed], ...]:
        """Law 2."""
        return tuple(self._caches.peers.values()), tuple(self._caches.trust.values())

    def _changed(self, old: Observed | None, *, new: Observed | None) -> None:
        if self._told is None:
            return
        if new is not None:
            self._tell(new)
        elif old is not None:
            self._told.pop(_key_of(regarding(old)), None)

    def _tell(self, seen: Observed) -> None:
        about = regarding(seen)
        for news in self._news(seen):
            self._teller.tell(about, news)

    def _news(self, seen: Observed) -> tuple[News, ...]:
        assert self._told is not None, "asked only in a term of leadership"
        key = _key_of(regarding(seen))
        before = self._told.get(key)
        self._told[key], news = news_of(seen, told=before, now=self._clock(), ours=self._ours())
        return news


def _key_of(about: Regarding) -> _Key:
    return about.kind, about.namespace, about.name
