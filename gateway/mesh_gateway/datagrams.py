"""Datagrams in a stream (docs/wire.md, "UDP in a stream"): two bytes big-endian, the length, then payload.

1. A datagram has 0 to 65,507 bytes, what UDP over IPv4 can carry; an empty one is a datagram too.
2. However the stream cuts its bytes, the same datagrams come out, in order.
3. A length beyond the bound is an error after which the stream is of no use. So a reader never keeps more
   than one datagram, and nothing at all between two.
"""

LONGEST_DATAGRAM = 65_507
HEAD = 2
"""Bytes that say how long the datagram is."""


class BadDatagram(ValueError):
    """A length that no datagram has."""


def framed(datagram: bytes | bytearray | memoryview) -> bytes:
    """A datagram as it stands in a stream. Raises BadDatagram for one that is too long."""
    size = len(datagram)
    if size > LONGEST_DATAGRAM:
        raise BadDatagram(f"a datagram of {size} bytes")
    return size.to_bytes(HEAD, "big") + datagram


class DatagramReader:
    """Reads the datagrams of one stream, piece by piece."""

    __slots__ = ("_part",)

    def __init__(self) -> None:
        self._part = bytearray()  # the beginning of a datagram, its length included

    @property
    def is_between(self) -> bool:
        """Whether the stream may end here: no datagram is half read."""
        return not self._part

    def feed(self, data: bytes) -> list[bytes]:
        """The datagrams that are whole now that `data` has come. Raises BadDatagram."""
        found: list[bytes] = []
        at = self._finish_part(data, found=found) if self._part else 0
        size = len(data)
        while size - at >= HEAD:
            start = at + HEAD
            end = start + _length(data[at], data[at + 1])
            if end > size:
                break
            found.append(data[start:end])
            at = end
        if at < size:
            self._part += data[at:]
        return found

    def _finish_part(self, data: bytes, *, found: list[bytes]) -> int:
        """Adds to the datagram that is half read what belongs to it; returns how much that is."""
        part = self._part
        at = 0
        if len(part) < HEAD:
            at = HEAD - len(part)
            part += data[:at]
            if len(part) < HEAD:
                return len(data)
        whole = HEAD + _length(part[0], part[1])
        missing = whole - len(part)
        part += data[at : at + missing]
        if len(part) == whole:
            found.append(bytes(part[HEAD:]))
            self._part = bytearray()
        return min(at + missing, len(data))


def _length(high: int, low: int) -> int:
    length = high << 8 | low
    if length > LONGEST_DATAGRAM:
        raise BadDatagram(f"a datagram of {length} bytes")
    return length
