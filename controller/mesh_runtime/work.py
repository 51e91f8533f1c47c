"""A queue of keys and the loop that works them.

Laws:

1. A key waits at most once; added while it is worked, it is worked once more afterwards. So the queue is
   bounded by the number of distinct keys.
2. A key is never worked by two workers at a time.
3. Urgent keys go first; while any is worked, at most `PATIENT` of the others are, so that in a flood what
   others wait for is not kept waiting by what nobody waits for.
4. Retrying has three visible ends: done, again (with growing back-off), given up (`Terminal`).
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, Never, TypeVar

from mesh_core.errors import MeshError

K = TypeVar("K", bound=Hashable)

_log = logging.getLogger(__name__)

PATIENT = 2
_FIRST_BACKOFF = 0.05
_LONGEST_BACKOFF = 30.0


class Terminal(MeshError):
    """What will not get better by itself: the key is not tried again until it changes."""


class WorkQueue(Generic[K]):
    """Keys that want to be worked, in the order in which they were first added.

    `is_urgent` is asked when a key is added; without it every key is.
    """

    def __init__(self, *, is_urgent: Callable[[K], bool] | None = None) -> None:
        self._is_urgent = is_urgent
        self._waiting: dict[K, None] = {}
        self._patient: dict[K, None] = {}
        self._patiently: set[K] = set()
        self._working: set[K] = set()
        self._dirty: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._takers: deque[asyncio.Future[None]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, key: K) -> None:
        """Ask for `key` to be worked, at once."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._working:
            self._dirty.add(key)
        elif self._is_urgent is None or self._is_urgent(key):
            self._patient.pop(key, None)
            self._waiting[key] = None
            self._wake()
        elif key not in self._waiting:
            self._patient[key] = None
            self._wake()
        self._idle.clear()

    @property
    def urgent(self) -> int:
        """How many urgent keys wait."""
        return len(self._waiting)

    def add_later(self, key: K, *, seconds: float) -> None:
        """Ask for `key` after `seconds`, unless it is asked for earlier."""
        if key in self._waiting or key in self._patient or key in self._timers:
            return
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self.add, key)
        self._idle.clear()

    async def take(self) -> K:
        """The next key; give it back with `done` or `again`."""
        while (waiting := self._next()) is None or (key := self._first(waiting)) is None:
            await self._woken()
        del waiting[key]
        if waiting is self._patient:
            self._patiently.add(key)
        self._working.add(key)
        if self._next() is not None:
            self._wake()
        return key

    def _first(self, waiting: Mapping[K, None]) -> K | None:
        """Which of those that wait is taken; None to have all of them wait."""
        return next(iter(waiting))

    def _next(self) -> dict[K, None] | None:
        """Where the next key is to be taken from; None when there is none."""
        if self._waiting:
            return self._waiting
        is_crowded = len(self._working) > len(self._patiently) and len(self._patiently) >= PATIENT
        return self._patient if self._patient and not is_crowded else None

    def done(self, key: K) -> None:
        """The work succeeded, or was given up."""
        self._failures.pop(key, None)
        self._finish(key)

    def again(self, key: K, *, at_least: float = 0.0) -> float:
        """The work failed: try after a back-off of at least `at_least` seconds; returns the wait."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        wait = min(_FIRST_BACKOFF * 2.0 ** min(failures, 20), _LONGEST_BACKOFF) * random.uniform(0.8, 1.2)
        wait = max(wait, at_least)
        self._dirty.discard(key)
        self._leave(key)
        self.add_later(key, seconds=wait)
        return wait

    async def until_idle(self) -> None:
        """Return when no key waits, is worked, or is due later."""
        await self._idle.wait()

    def _leave(self, key: K) -> None:
        """The key is in nobody's hands, which may make room for a patient one."""
        self._working.discard(key)
        self._patiently.discard(key)
        if self._patient:
            self._wake()

    def _wake(self) -> None:
        """Have one more worker look: of many that wait, all but one would look in vain."""
        while self._takers:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_result(None)
                return

    async def _woken(self) -> None:
        taker = asyncio.get_running_loop().create_future()
        self._takers.append(taker)
        try:
            await taker
        except asyncio.CancelledError:
            if not taker.cancelled():
                # It was woken and will not look: somebody else has to.
                self._wake()
            raise

    def _finish(self, key: K) -> None:
        self._leave(key)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)
        if not (self._waiting or self._patient or self._working or self._timers):
            self._idle.set()


async def work(queue: WorkQueue[K], reconcile: Callable[[K], Awaitable[float | None]], *, name: str) -> Never:
    """One worker: take a key, reconcile it, for ever.

    `reconcile` returns None when done, or the seconds after which the key wants another look ("not yet"
    is a value, not an error). A MeshError is logged and tried again; `Terminal` is logged and dropped.
    Anything else is a defect and ends the task group.
    """
    while True:
        key = await queue.take()
        try:
            look_again = await reconcile(key)
        except Terminal as error:
            _log.error("%s %s: given up: %s", name, key, error)
            queue.done(key)
        except MeshError as error:
            wait = queue.again(key, at_least=getattr(error, "retry_after", 0.0))
            _log.warning("%s %s: %s; trying again in %.1f s", name, key, error.what, wait)
        else:
            if look_again is not None:
                queue.add_later(key, seconds=look_again)
            queue.done(key)
