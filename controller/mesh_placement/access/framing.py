"""Where the body of a message ends, told while its bytes go by.

The bytes are passed on as they are; a body in chunks has to be in the one form that everybody reads alike
(sizes in hexadecimal digits, no extensions, no trailers), else it is refused.
"""

import re
from typing import Protocol

from mesh_placement.access.heads import BadHead

_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}\r\n")
_LONGEST_LINE = 18


class Framing(Protocol):
    """The rest of one body."""

    done: bool
    """Whether the end was seen."""

    def take(self, data: bytes) -> int:
        """How many of the next bytes belong to the body; raises BadHead."""


def framing(length: int | None) -> Framing:
    """For a body of `length` bytes, None for one in chunks, -1 for one that ends with the connection."""
    match length:
        case None:
            return _Chunks()
        case -1:
            return _Endless()
        case _:
            return _Counted(length)


class _Counted:
    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0

    def take(self, data: bytes) -> int:
        taken = min(self._left, len(data))
        self._left -= taken
        self.done = self._left == 0
        return taken


class _Endless:
    done = False

    def take(self, data: bytes) -> int:
        return len(data)


class _Chunks:
    """`_left` bytes of a chunk are to come; else a line is, of which `_line` was seen."""

    def __init__(self) -> None:
        self.done = False
        self._left = 0
        self._line = b""
        self._wants_size = True
        self._last = False

    def take(self, data: bytes) -> int:
        at = 0
        while at < len(data) and not self.done:
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
            else:
                at = self._follow_line(data, at)
        return at

    def _follow_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at)
        stop = len(data) if end < 0 else end + 1
        self._line += data[at:stop]
        if len(self._line) > _LONGEST_LINE:
            raise BadHead("the size of a chunk is not plainly one")
        if end >= 0:
            self._end_line(self._line)
            self._line = b""
        return stop

    def _end_line(self, line: bytes) -> None:
        if not self._wants_size:
            if line != b"\r\n":
                raise BadHead("a chunk is longer than its size, or has trailers")
            self._wants_size, self.done = True, self._last
            return
        if not _SIZE.fullmatch(line):
            raise BadHead("the size of a chunk is not plainly one")
        self._left = int(line, 16)
        self._wants_size, self._last = False, self._left == 0
