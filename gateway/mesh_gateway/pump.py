"""Joins two streams: what one brings, the other sends; both ways end, pause and break together.

1. Each way ends by itself: half close passes through.
2. A writer that does not get rid of its bytes pauses the reading of the other side, and nothing else.
3. When one side is reset, or breaks, the other is reset: a cut answer never looks like a whole one.
"""

from collections.abc import Callable

from mesh_gateway.stream import Stream


class Pump:
    """Two streams that were joined by `start`. `finished` is called once, when both are gone."""

    __slots__ = ("_alive", "_finished", "_left", "_right")

    def __init__(self, left: Stream, right: Stream, *, finished: Callable[[], None]) -> None:
        self._left = left
        self._right = right
        self._finished = finished
        self._alive = 2

    @property
    def unsent(self) -> int:
        """Bytes that wait in this process, both ways."""
        return self._left.unsent + self._right.unsent

    def start(self) -> None:
        """Lets the bytes flow."""
        self._left.start(_Way(self._left, self._right, gone=self._one_gone))
        self._right.start(_Way(self._right, self._left, gone=self._one_gone))

    def abort(self) -> None:
        """Resets both."""
        self._left.abort()
        self._right.abort()

    def _one_gone(self) -> None:
        self._alive -= 1
        if self._alive == 0:
            self._finished()


class _Way:
    """Reads one stream and writes the other."""

    __slots__ = ("_gone", "_source", "_target")

    def __init__(self, source: Stream, target: Stream, *, gone: Callable[[], None]) -> None:
        self._source = source
        self._target = target
        self._gone = gone

    def bytes_came(self, data: bytes) -> None:
        self._target.write(data)

    def bytes_ended(self) -> None:
        self._target.end()

    def send_paused(self) -> None:
        self._target.pause()

    def send_resumed(self) -> None:
        self._target.resume()

    def stream_gone(self, *, cleanly: bool) -> None:
        if not cleanly:
            self._target.abort()
        self._gone()
