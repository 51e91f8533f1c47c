"""Joins two streams: what one brings, the other sends; both ways end, pause and break together.

1. Each way ends by itself: half close passes through.
2. A writer that does not get rid of its bytes pauses the reading of the other side, and nothing else.
3. When one side is reset, or breaks, the other is reset: a cut answer never looks like a whole one.
"""

from collections.abc import Callable
from typing import Protocol

from mesh_gateway.stream import Stream


class Joint(Protocol):
    """Two streams that are joined, in whatever way: `Pump`, or `splice.Splice`."""

    @property
    def unsent(self) -> int:
        """Bytes that wait in this process, both ways."""

    def start(self) -> None:
        """Lets the bytes flow."""

    def abort(self) -> None:
        """Resets both."""


class PumpWatcher(Protocol):
    """Who wants to know how a joint fares."""

    def stalled(self, pump: Joint, *, holds: int) -> None:
        """One way, or another one, does not get rid of its bytes, and keeps, or may come to keep, so many."""

    def flowing(self, pump: Joint) -> None:
        """Both ways get rid of their bytes again."""

    def finished(self, pump: Joint, *, cleanly: bool) -> None:
        """Both streams are gone, after both ways had ended or not; said once, last."""


class Pump:
    """Two streams that were joined by `start`."""

    __slots__ = ("_alive", "_back", "_cleanly", "_forth", "_left", "_right", "_stalls", "_watcher")

    def __init__(self, left: Stream, right: Stream, *, watcher: PumpWatcher) -> None:
        self._left = left
        self._right = right
        self._watcher = watcher
        self._alive = 2
        self._stalls = 0
        self._cleanly = True
        self._forth = _Way(right, own=left, pump=self)
        self._back = _Way(left, own=right, pump=self)

    @property
    def unsent(self) -> int:
        """Bytes that wait in this process, both ways."""
        return self._left.unsent + self._right.unsent

    def start(self) -> None:
        """Lets the bytes flow."""
        self._left.start(self._forth)
        self._right.start(self._back)

    def replace_right(self, right: Stream) -> None:
        """Goes on with another right stream; the one before has brought nothing, and brings nothing more."""
        self._back.send_resumed()  # what held the left up was the one before
        self._right = right
        self._forth.turn_to(right)
        self._back = _Way(self._left, own=right, pump=self)
        right.start(self._back)
        if self._alive < 2:
            right.abort()  # the left has gone meanwhile

    @property
    def is_over(self) -> bool:
        """Whether either side is gone."""
        return self._alive < 2

    def abort(self) -> None:
        """Resets both."""
        self._left.abort()
        self._right.abort()

    def one_stalled(self) -> None:
        """One side cannot send."""
        self._stalls += 1

    def held(self) -> None:
        """What it cannot send has changed."""
        self._watcher.stalled(self, holds=self._forth.holds + self._back.holds)

    def one_flows(self) -> None:
        """It has sent most of them."""
        self._stalls -= 1
        if self._stalls == 0:
            self._watcher.flowing(self)

    def one_gone(self, *, cleanly: bool) -> None:
        """One side is gone."""
        self._alive -= 1
        self._cleanly &= cleanly
        if self._alive == 0:
            self._watcher.finished(self, cleanly=self._cleanly)


class _Way:
    """Reads `own`, one stream of a pump, and writes the other."""

    __slots__ = ("_other", "_own", "_pump", "_stalled", "bytes_came")

    bytes_came: Callable[[bytes], None]

    def __init__(self, other: Stream, *, own: Stream, pump: Pump) -> None:
        self._pump = pump
        self._own = own
        self._stalled = False
        self.turn_to(other)

    def turn_to(self, other: Stream) -> None:
        """Writes that one from now on."""
        self._other = other
        # Bytes go straight to the other stream: this is the way of every one of them.
        self.bytes_came = other.write

    @property
    def holds(self) -> int:
        """Bytes that the stream which this way reads keeps, or may come to keep, while it is stalled."""
        return self._own.holds if self._stalled else 0

    def bytes_ended(self) -> None:
        self._other.end()

    def send_paused(self) -> None:
        self._other.pause()
        if not self._stalled:
            self._stalled = True
            self._pump.one_stalled()
        self._pump.held()

    def send_resumed(self) -> None:
        self._other.resume()
        if self._stalled:
            self._stalled = False
            self._pump.one_flows()

    def stream_gone(self, *, cleanly: bool) -> None:
        if not cleanly:
            self._other.abort()
        self._pump.one_gone(cleanly=cleanly)
