"""Pipes that bytes pass through on their way from socket to socket, without coming up to us.

1. A pipe belongs to a way only while bytes lie in it: idle connections have none, and as many are in use
   as there are ways whose far end does not keep up.
2. A pipe that is given back is empty; one that is not is closed.
"""

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass

WANTED = 512 * 1024
"""Bytes that a pipe should hold. The kernel may give less (`fs.pipe-user-pages-soft`): it still works."""

_KEPT = 16
"""Empty pipes that are kept for the next one who needs one."""


@dataclass(frozen=True, slots=True)
class Pipe:
    """Two descriptors, neither of which ever blocks, and how many bytes lie between them at most."""

    exit: int
    entry: int
    size: int

    def close(self) -> None:
        """Closes both, and throws away what is inside."""
        os.close(self.exit)
        os.close(self.entry)


class Pipes:
    """Pipes to borrow."""

    def __init__(self) -> None:
        self._empty: list[Pipe] = []

    def take(self) -> Pipe:
        """An empty pipe. Raises OSError when there are no descriptors left."""
        return self._empty.pop() if self._empty else _new_pipe()

    def give_back(self, pipe: Pipe) -> None:
        """Takes back a pipe that is empty."""
        if len(self._empty) < _KEPT:
            self._empty.append(pipe)
        else:
            pipe.close()

    def close(self) -> None:
        """Closes those that nobody has."""
        while self._empty:
            self._empty.pop().close()


def _new_pipe() -> Pipe:
    exit_, entry = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    with suppress(OSError):
        fcntl.fcntl(entry, fcntl.F_SETPIPE_SZ, WANTED)
    return Pipe(exit=exit_, entry=entry, size=fcntl.fcntl(entry, fcntl.F_GETPIPE_SZ))
