"""Seeing when things come about: one watch of a resource, and what a benchmark waits for in it.

The watch is the product's own cache, in the benchmark's process. A time is taken when an event was read.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from mesh_core.objects import KubernetesObject
from mesh_runtime.kube import Informer

T = TypeVar("T", bound=KubernetesObject)
K = TypeVar("K", bound=Hashable)


class Seen(Generic[T]):
    """Events of one watch cache; make it before the cache runs."""

    def __init__(self, informer: Informer[T]) -> None:
        self.cache = informer
        self._calls: list[Callable[[T | None, T | None], None]] = []
        informer.follow(self._tell)

    @contextmanager
    def told(self, call: Callable[[T | None, T | None], None]) -> Iterator[None]:
        """`call` gets the old and the new state at each change, while the block runs."""
        self._calls.append(call)
        try:
            yield
        finally:
            self._calls.remove(call)

    def _tell(self, _key: tuple[str, str], old: T | None, new: T | None) -> None:
        for call in self._calls:
            call(old, new)


class Moment:
    """When something was first seen, in seconds of the event loop's clock."""

    def __init__(self) -> None:
        self.at: float | None = None
        self._come = asyncio.Event()

    def now(self) -> None:
        """It is seen now; later calls change nothing."""
        if self.at is None:
            self.at = asyncio.get_running_loop().time()
            self._come.set()

    async def reached(self) -> float:
        """The time, as soon as there is one."""
        await self._come.wait()
        assert self.at is not None
        return self.at


@contextmanager
def first(seen: Seen[T], wanted: Callable[[T], bool]) -> Iterator[Moment]:
    """The moment of the first event, from now on, with an object that is `wanted`."""
    moment = Moment()

    def look(_old: T | None, new: T | None) -> None:
        if new is not None and wanted(new):
            moment.now()

    with seen.told(look):
        yield moment


@contextmanager
def each(seen: Seen[T], names: Iterable[K], name_of: Callable[[T], K | None]) -> Iterator["Tally[K]"]:
    """The moment when the last of `names` has come; `name_of` gives None for what does not count yet."""
    tally = Tally(names)

    def look(_old: T | None, new: T | None) -> None:
        name = name_of(new) if new is not None else None
        if name is not None:
            tally.take(name)

    with seen.told(look):
        for held in seen.cache.values():
            look(None, held)
        yield tally


@contextmanager
def none_left(seen: Seen[T], counts: Callable[[T], bool]) -> Iterator[Moment]:
    """The moment when the cache holds nothing any more that `counts`."""
    moment = Moment()
    left = {held.key for held in seen.cache.values() if counts(held)}

    def look(old: T | None, new: T | None) -> None:
        if new is not None and counts(new):
            left.add(new.key)
        elif old is not None:
            left.discard(old.key)
        if not left:
            moment.now()

    if not left:
        moment.now()
    with seen.told(look):
        yield moment


class Tally(Generic[K]):
    """What is still missing, and when the last came."""

    def __init__(self, names: Iterable[K]) -> None:
        self.missing = set(names)
        self.last = Moment()

    def take(self, name: K) -> None:
        """One has come."""
        self.missing.discard(name)
        if not self.missing:
            self.last.now()
