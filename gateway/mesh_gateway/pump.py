"""Joins two streams: what one brings, the other sends; both ways end, pause and break together.

1. Each way ends by itself: half close passes through.
2. A writer that does not get rid of its bytes pauses the reading of the other side, and nothing else.
3. When one side is reset, or breaks, the other is reset: a cut answer never looks like a whole one.
"""

from typing import Protocol

from mesh_gateway.stream import Stream


class PumpWatcher(Protocol):
    """Who wants to know how a pump fares."""

    def stalled(self, pump: "Pump") -> None:
        """One way, or another one, does not get rid of its bytes."""

    def flowing(self, pump: "Pump") -> None:
        """Both ways get rid of their bytes again."""

    def finished(self, pump: "Pump") -> None:
        """Both streams are gone; said once, last."""


class Pump:
    """Two streams that were joined by `start`."""

    __slots__ = ("_alive", "_left", "_right", "_stalls", "_watcher")

    def __init__(self, left: Stream, right: Stream, *, watcher: PumpWatcher) -> None:
        self._left = left
        self._right = right
        self._watcher = watcher
        self._alive = 2
        self._stalls = 0

    @property
    def unsent(self) -> int:
        """Bytes that wait in this process, both ways."""
        return self._left.unsent + self._right.unsent

    def start(self) -> None:
        """Lets the bytes flow."""
        self._left.start(_Way(self._right, pump=self))
        self._right.start(_Way(self._left, pump=self))

    def abort(self) -> None:
        """Resets both."""
        self._left.abort()
        self._right.abort()

    def one_stalled(self) -> None:
        """One side holds bytes that it cannot send."""
        self._stalls += 1
        self._watcher.stalled(self)

    def one_flows(self) -> None:
        """It has sent most of them."""
        self._stalls -= 1
        if self._stalls == 0:
            self._watcher.flowing(self)

    def one_gone(self) -> None:
        """One side is gone."""
        self._alive -= 1
        if self._alive == 0:
            self._watcher.finished(self)


class _Way:
    """Reads one stream of a pump, and writes the other."""

    __slots__ = ("_other", "_pump")

    def __init__(self, other: Stream, *, pump: Pump) -> None:
        self._other = other
        self._pump = pump

    def bytes_came(self, data: bytes) -> None:
        self._other.write(data)

    def bytes_ended(self) -> None:
        self._other.end()

    def send_paused(self) -> None:
        self._other.pause()
        self._pump.one_stalled()

    def send_resumed(self) -> None:
        self._other.resume()
        self._pump.one_flows()

    def stream_gone(self, *, cleanly: bool) -> None:
        if not cleanly:
            self._other.abort()
        self._pump.one_gone()
