"""Datagrams of one flow that wait until its stream takes them: few, and none of them old (ruling 30).

1. Nothing waits longer than `LONGEST_WAIT`: what comes later than that is of no use to anybody.
2. At most `MOST_WAITING` bytes wait; the oldest go first. One datagram always has room.
3. What is taken comes in the order in which it was put.
"""

from collections import deque

LONGEST_WAIT = 0.2
"""Seconds."""
MOST_WAITING = 64 * 1024
"""Bytes, lengths included."""


class DatagramQueue:
    """Framed datagrams, oldest first; `size` is their bytes. Times are seconds of any one clock."""

    __slots__ = ("_waiting", "size")

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, bytes]] = deque()
        self.size = 0

    def put(self, frame: bytes, *, now: float) -> int:
        """Adds one; returns how many had to go for it."""
        self._waiting.append((now, frame))
        self.size += len(frame)
        dropped = 0
        while self.size > MOST_WAITING:
            self._drop()
            dropped += 1
        return dropped

    def expire(self, *, now: float) -> int:
        """Drops what has waited too long; returns how many that were."""
        dropped = 0
        while self._waiting and now - self._waiting[0][0] > LONGEST_WAIT:
            self._drop()
            dropped += 1
        return dropped

    def take(self) -> bytes:
        """Everything, one after another; the queue is empty then."""
        taken = b"".join(frame for _, frame in self._waiting)
        self._waiting.clear()
        self.size = 0
        return taken

    def __len__(self) -> int:
        return len(self._waiting)

    def _drop(self) -> None:
        self.size -= len(self._waiting.popleft()[1])
