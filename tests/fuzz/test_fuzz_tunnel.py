"""Damaged recordings of real tunnels: the session takes them or calls them wrong, alike in any pieces.

Nothing but ProtocolError comes out of it, no reader is told anything in the wrong order, no case takes long,
and what is kept stays within the bounds. `corpus/frames` holds what one end sent: `to_callee` of the end that
dialled, `to_caller` of the other; some of it was recorded from HashiCorp's yamux.
"""

import random
import resource
import time
from pathlib import Path

import pytest

from mesh_fakes.frame_audit import Frame, frames
from mesh_fakes.mutations import cases, corpus, cut, damaged
from mesh_fakes.session_pair import EARLY, MESSAGE, Reading, Side
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opening import (
    LONGEST_MESSAGE,
    Answer,
    BadMessage,
    Opening,
    Reason,
    TunnelHello,
    message_length,
    read_answer,
    read_hello,
    read_opening,
    write_message,
)
from mesh_gateway.session import SessionLimits
from mesh_gateway.yamux import ProtocolError

FILES = Path(__file__).parent / "corpus" / "frames"
SEEDS = corpus(FILES)
TO_CALLEE = [path.name.startswith("to_callee") for path in sorted(FILES.glob("*.bin"))]
LIMITS = SessionLimits(streams=50, control=4096)
OPENED = 4
"""Streams that a caller has opened before the recording begins."""

_NUMBERS = (0, 1, 2, 3, 4, 5, 7, 99, 0xFFFFFFFF)
_SIZES = (0, 1, 11, 12, 0xFFFF, 262_143, 262_144, 262_145, 0x7FFFFFFF, 0xFFFFFFFF)
MESSAGES = [
    frame.payload for data in SEEDS for frame in frames(data) if frame.payload[:1] in (b"\0",) and frame.flags
]


class Talk:
    """A session that hears a case, and an owner that accepts or refuses by the stream's number."""

    def __init__(self, *, is_client: bool) -> None:
        self.side = Side(is_client=is_client, limits=LIMITS, growth=1 << 20)
        self.side.hears = self._asked
        self.heard: dict[int, list[object]] = {}
        self._readings: list[tuple[MuxStream, Reading]] = []
        for _ in range(OPENED if is_client else 0):
            stream = self.side.session.open(MESSAGE, answered=self._answered)
            self._read(stream)
            stream.write(b"early")

    def hear(self, pieces: list[bytes]) -> tuple[object, ...]:
        """What came of it: everything that anybody heard."""
        session = self.side.session
        session.blocked = True  # the other end reads nothing
        error = ""
        try:
            for piece in pieces:
                if piece:
                    session.received(piece)
                    self._hold()
        except ProtocolError as found:
            error = str(found)
        except RecursionError as found:  # no frame may lead to another from within
            raise AssertionError from found
        told = [
            (stream.id, bytes(reading.data), reading.has_ended, reading.gone)
            for stream, reading in self._readings
        ]
        return error or self.side.broken, self.heard, told, self.side.reason, self.side.pongs

    def _hold(self) -> None:
        session = self.side.session
        assert session.theirs <= LIMITS.streams
        assert 0 <= self.side.early.left <= EARLY
        assert len(session._rest) < 12
        if not self.side.broken:
            assert sum(map(len, session._out)) <= LIMITS.control + 70_000
            assert 12 * len(session._control) <= LIMITS.control

    def _asked(self, stream: MuxStream, message: bytes | None) -> None:
        self.heard.setdefault(stream.id, []).append(message)
        try:
            opening = read_opening(message) if message is not None else None
        except BadMessage:
            opening = None
        if opening is None or stream.id % 7 == 0:
            stream.refuse(Answer(Reason.BAD_OPENING.value))
        elif stream.id % 5 == 0:
            stream.abort()
        else:
            stream.accept()
            self._read(stream)

    def _answered(self, stream: MuxStream, message: bytes | None) -> None:
        self.heard.setdefault(stream.id, []).append(message)
        try:
            answer = read_answer(message) if message is not None else None
        except BadMessage:
            answer = None
        if answer is not None and not answer.reason:
            stream.accepted()
        elif not stream.is_gone:
            stream.abort()

    def _read(self, stream: MuxStream) -> None:
        reading = Reading()
        self._readings.append((stream, reading))
        stream.start(reading)


def rebuilt(data: bytes, *, dice: random.Random) -> bytes:
    """A recording whose frames are damaged, dropped, doubled or moved, and whose lengths are mostly right."""
    found = list(frames(data))
    for _ in range(dice.randint(1, 4)):
        if not found:
            break
        at = dice.randrange(len(found))
        frame = found[at]
        kind, flags, stream, length, payload = (
            frame.kind,
            frame.flags,
            frame.stream,
            frame.length,
            frame.payload,
        )
        match dice.randrange(8):
            case 0:
                del found[at]
                continue
            case 1:
                found.insert(dice.randrange(len(found) + 1), frame)
                continue
            case 2:
                dice.shuffle(found)
                continue
            case 3:
                kind = dice.choice((0, 1, 1, 2, 3, 4, 255))
            case 4:
                flags ^= 1 << dice.choice((0, 1, 2, 2, 3, 3, 4, 15))
            case 5:
                stream = dice.choice(_NUMBERS)
            case 6:
                length = dice.choice(_SIZES)
            case _:
                payload = damaged(payload, dice=dice, others=MESSAGES)[:5000]
                length = len(payload)
        found[at] = Frame(kind, flags, stream, length, payload)
    return b"".join(map(bytes, found))


def check(dice: random.Random) -> bool:
    """One case; whether it was taken to the end."""
    which = dice.randrange(len(SEEDS))
    seed = SEEDS[which]
    data = damaged(seed, dice=dice, others=SEEDS) if dice.random() < 0.4 else rebuilt(seed, dice=dice)
    whole = Talk(is_client=not TO_CALLEE[which]).hear([data])
    if dice.random() < 0.3:
        again = Talk(is_client=not TO_CALLEE[which]).hear(cut(data, dice=dice))
        assert again == whole, f"other pieces, another outcome: {data.hex()}"
    if dice.random() < 0.3:
        messages(damaged(dice.choice(MESSAGES), dice=dice, others=MESSAGES))
    return not whole[0]


def messages(data: bytes) -> None:
    """Reads damaged messages of all three kinds; what reads can be written again, and reads the same."""
    try:
        length = message_length(data)
    except BadMessage:
        return
    assert length is None or 3 <= length <= 2 + LONGEST_MESSAGE
    body = data[2:length]
    for read in (read_opening, read_answer, read_hello):
        try:
            found: Opening | Answer | TunnelHello = read(body)
            assert read(write_message(found)[2:]) == found
        except BadMessage:
            continue


@pytest.mark.parametrize("path", sorted(FILES.glob("*.bin")), ids=lambda path: path.stem)
def test_a_recording_is_taken_to_its_end(path: Path) -> None:
    data = path.read_bytes()
    assert sum(12 + len(frame.payload) for frame in frames(data)) == len(data)
    talk = Talk(is_client=path.name.startswith("to_caller"))
    assert talk.hear([data])[0] == ""
    assert talk.hear([])[1], "somebody was asked, or answered"


def test_damaged_recordings_are_taken_or_called_wrong() -> None:
    slowest = 0.0
    taken = tried = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, dice in cases():
        started = time.thread_time()
        try:
            taken += check(dice)
        except Exception as error:
            raise AssertionError(f"FUZZ=1 SEED={number} fails with {error!r}") from error
        tried += 1
        slowest = max(slowest, time.thread_time() - started)
    assert slowest < 2.0, "a case of at most 40 kB took that long"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024, f"{grown} KiB more than before"
    assert tried < 100 or tried // 10 < taken < tried - tried // 10, f"{taken} of {tried} were taken"
    print(f"{taken} of {tried} taken, slowest {slowest * 1000:.1f} ms, {grown} KiB more")
