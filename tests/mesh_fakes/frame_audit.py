"""Watches one way of a tunnel and holds the sender to yamux: from the specification, not from our code."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

DATA, WINDOW, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
FIRST_WINDOW = 256 * 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """A header and, for DATA, what follows it."""

    kind: int
    flags: int
    stream: int
    length: int
    payload: bytes = b""

    def __bytes__(self) -> bytes:
        return struct.pack("!BBHII", 0, self.kind, self.flags, self.stream, self.length) + self.payload


def frames(data: bytes) -> Iterator[Frame]:
    """The whole frames at the beginning of `data`."""
    at = 0
    while len(data) - at >= 12:
        version, kind, flags, stream, length = struct.unpack_from("!BBHII", data, at)
        assert version == 0
        end = at + 12 + (length if kind == DATA else 0)
        if end > len(data):
            return
        yield Frame(kind, flags, stream, length, data[at + 12 : end])
        at = end


class Cutter:
    """Cuts a way's bytes, which come in any pieces, into frames."""

    def __init__(self) -> None:
        self._rest = b""

    def whole(self, data: bytes) -> list[Frame]:
        """The frames that are whole now."""
        self._rest += data
        found = list(frames(self._rest))
        self._rest = self._rest[sum(12 + len(frame.payload) for frame in found) :]
        return found


@dataclass(slots=True)
class _Seen:
    """One stream, as this way shows it. `room` is what the other end has allowed."""

    room: int = FIRST_WINDOW
    opened: bool = False
    acknowledged: bool = False
    ended: bool = False
    reset: bool = False


@dataclass
class Audit:
    """What one end sends. `credit` tells it of the other end's WINDOW frames once they have arrived.

    `number` is the parity of the sender's own streams. Raises AssertionError as soon as a frame is wrong.
    """

    number: int
    went_away: bool = False
    pongs: int = 0
    _streams: dict[int, _Seen] = field(default_factory=dict)
    _cutter: Cutter = field(default_factory=Cutter)

    def sent(self, data: bytes) -> list[Frame]:
        """More of the sender's bytes, in any pieces; the frames that are whole now."""
        found = self._cutter.whole(data)
        for frame in found:
            self._check(frame)
        return found

    def credit(self, stream: int, *, size: int) -> None:
        """The other end's credit has reached the sender."""
        self._of(stream).room += size

    def _of(self, stream: int) -> _Seen:
        return self._streams.setdefault(stream, _Seen())

    def _check(self, frame: Frame) -> None:
        assert frame.kind in (DATA, WINDOW, PING, GO_AWAY)
        assert frame.flags & ~(SYN | ACK | FIN | RST) == 0
        if frame.kind in (PING, GO_AWAY):
            assert frame.stream == 0
            self.pongs += frame.kind == PING and frame.flags == ACK
            self.went_away |= frame.kind == GO_AWAY
            return
        assert frame.stream > 0
        seen = self._of(frame.stream)
        assert not seen.reset or (frame.kind, frame.flags) == (WINDOW, 0), f"{frame} after a reset"
        if frame.stream % 2 == self.number:
            assert bool(frame.flags & SYN) == (not seen.opened), f"{frame}: a stream begins with SYN, once"
            seen.opened = True
            assert not frame.flags & ACK
        else:
            assert not frame.flags & SYN
            assert not (frame.flags & ACK and seen.acknowledged), f"{frame}: a second ACK"
            seen.acknowledged |= bool(frame.flags & ACK)
        if frame.kind == DATA:
            assert not seen.ended, f"{frame} after FIN"
            seen.room -= frame.length
            assert seen.room >= 0, f"stream {frame.stream} overruns its window by {-seen.room}"
        assert not (frame.flags & FIN and seen.ended), f"{frame}: a second FIN"
        seen.ended |= bool(frame.flags & FIN)
        seen.reset |= bool(frame.flags & RST)
