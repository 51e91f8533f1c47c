"""One limit for many waits of the same length, with one timer for all of them.

`asyncio.timeout` makes a timer for each wait: 14 microseconds on uvloop, as much as opening a local TCP
connection takes. Waits of one length end in the order in which they began, so the oldest needs a timer only.
"""

import asyncio
from types import TracebackType


class TimeLimit:
    """Gives `seconds` to each block under `with limit.wait():`, after which it raises TimeoutError.

    The block runs in a task; what it awaits is cancelled.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.waits: dict[Wait, None] = {}
        """Those that go on, the oldest first."""
        self._timer: asyncio.TimerHandle | None = None

    def wait(self) -> "Wait":
        """For one `with`."""
        return Wait(self)

    def watch(self) -> None:
        """Looks after the waits, of which there is one at least; asked at the beginning of each."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.seconds, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self.waits:
            oldest = next(iter(self.waits))
            if oldest.due > loop.time():
                self._timer = loop.call_at(oldest.due, self._look)
                return
            del self.waits[oldest]
            oldest.expire()


class Wait:
    """One wait of a `TimeLimit`."""

    __slots__ = ("_cancelled_before", "_expired", "_limit", "_task", "due")

    _task: asyncio.Task[object]

    def __init__(self, limit: TimeLimit) -> None:
        self._limit = limit
        self._expired = False
        self.due = 0.0

    def expire(self) -> None:
        """Its time is over."""
        self._expired = True
        self._task.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit holds in a task only")
        limit = self._limit
        self._task = task
        self._cancelled_before = task.cancelling()
        self.due = asyncio.get_running_loop().time() + limit.seconds
        limit.waits[self] = None
        limit.watch()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if not self._expired:
            del self._limit.waits[self]
        # Whoever else cancelled the task meanwhile wants it ended (as in asyncio.timeout).
        elif self._task.uncancel() <= self._cancelled_before and kind is asyncio.CancelledError:
            raise TimeoutError from error
