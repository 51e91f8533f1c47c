"""Laws of a tunnel: two sessions, whatever the ways between them cut and keep, whatever their owners do.

The fakes hold every frame to yamux (`frame_audit`) and every reader's calls to `mesh_gateway.stream`.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_fakes.session_pair import EARLY, KEPT, MESSAGE, End, Pair, Reading, Side
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opening import Answer, Reason, read_answer
from mesh_gateway.session import SessionLimits

BLOB = random.Random(15).randbytes(1 << 20)
SIZES = (1, 11, 12, 13, 4096, 65_535, 65_536, 65_537, 200_000, 262_144)
PIECES = (1, 11, 12, 13, 100, 1460, 65_536, 262_144, 1 << 22)
SMALL = SessionLimits(buffer=300_000, flush=100_000, window=1 << 20, early_data=64 * 1024)
LARGEST_WRITE = 262_144

Step = tuple[str, int, int, int]


class Story:
    """A pair and every stream in it, each with its two ends."""

    def __init__(self, *, limits: SessionLimits = SMALL) -> None:
        self.pair = Pair(limits=limits)
        self.limits = limits
        self.ends: dict[tuple[Side, int], End] = {}
        self.order: list[End] = []
        self.undecided: list[tuple[Side, End]] = []
        for side in (self.pair.client, self.pair.server):
            side.hears = self._asked_at(side)

    def begin(self, *, streams: int) -> None:
        """So many streams from each side stand already."""
        for number in range(2 * streams):
            self.open(self.side(number))
        self.finish()

    def side(self, number: int) -> Side:
        return (self.pair.client, self.pair.server)[number % 2]

    def any(self, number: int) -> End | None:
        return self.order[number % len(self.order)] if self.order else None

    def open(self, side: Side) -> End:
        def answered(stream: MuxStream, message: bytes | None) -> None:
            end.answer, end.was_answered = message, True
            if message is None:
                if not stream.is_gone:
                    stream.abort()
            elif read_answer(message).reason:
                kept, ended = stream.take_kept()
                assert b"".join(kept) == end.written, "a refusal loses nothing (ruling 9)"
                assert ended == end.has_ended
                stream.release()
                end.reading.gone = False
            else:
                stream.accepted()

        end = End(side.session.open(MESSAGE, answered=answered), Reading(), bytearray())
        end.stream.start(end.reading)
        self._keep(side, end)
        return end

    def decide(self, number: int, *, refuse: bool) -> None:
        if not self.undecided:
            return
        side, end = self.undecided.pop(number % len(self.undecided))
        if refuse:
            end.was_aborted = True
            end.stream.refuse(Answer(Reason.NO_ENDPOINT.value, "nobody is there"))
            return
        end.stream.accept()
        end.stream.start(end.reading)
        self._keep(side, end)

    def write(self, end: End, *, at: int, size: int) -> None:
        if end.reading.is_paused or end.has_ended or end.stream.is_gone:
            return
        data = BLOB[at : at + size]
        end.written += data
        end.stream.write(data)

    def end(self, end: End) -> None:
        if not end.stream.is_gone:
            end.has_ended = True
            end.stream.end()

    def abort(self, end: End) -> None:
        if not end.stream.is_gone:
            end.was_aborted = True
            end.stream.abort()

    def step(self, step: Step) -> None:
        kind, which, at, size = step
        end = self.any(which)
        if kind == "open":
            self.open(self.side(which))
        elif kind in ("accept", "refuse"):
            self.decide(which, refuse=kind == "refuse")
        elif kind == "deliver":
            side = self.side(which)
            side.flush()
            self.pair.deliver(side, size=PIECES[size % len(PIECES)])
        elif kind == "block":
            self.side(which).session.blocked = True
        elif kind == "unblock":
            self.side(which).unblock()
        elif end is None:
            return
        elif kind == "write":
            self.write(end, at=at, size=SIZES[size % len(SIZES)])
        else:
            deeds: dict[str, Callable[[End], None]] = {
                "end": self.end,
                "abort": self.abort,
                "pause": lambda one: one.stream.pause(),
                "resume": lambda one: one.stream.resume(),
            }
            deeds[kind](end)
        self.hold()

    def hold(self) -> None:
        """What is bounded at every moment."""
        for side in (self.pair.client, self.pair.server):
            held = sum(map(len, side.session._out))
            streams = len(self.order) + 1
            if side.session.blocked:
                bound = self.limits.buffer + LARGEST_WRITE + streams * (len(MESSAGE) + 400)
            else:
                bound = self.limits.flush + streams * 400
            assert held <= bound, f"{held} bytes wait to be sent"
        for end in self.order:
            assert end.stream.unsent <= LARGEST_WRITE
            assert end.stream.window_left <= self.limits.window

    def finish(self) -> None:
        """Lets everything flow that can."""
        for _ in range(3):
            for side in (self.pair.client, self.pair.server):
                side.unblock()
            while self.undecided:
                self.decide(0, refuse=False)
            for end in self.order:
                end.stream.resume()
            self.pair.settle()

    def _keep(self, side: Side, end: End) -> None:
        self.ends[side, end.stream.id] = end
        self.order.append(end)

    def _asked_at(self, side: Side) -> Callable[[MuxStream, bytes | None], None]:
        def asked(stream: MuxStream, message: bytes | None) -> None:
            if message is None:
                stream.refuse(Answer(Reason.BAD_OPENING.value))
            else:
                self.undecided.append((side, End(stream, Reading(), bytearray())))

        return asked


def steps(*kinds: str) -> st.SearchStrategy[list[Step]]:
    step = st.tuples(
        st.sampled_from(kinds),
        st.integers(0, 7),
        st.integers(0, len(BLOB) - LARGEST_WRITE),
        st.integers(0, 9),
    )
    return st.lists(step, max_size=60)


STREAMS = st.integers(0, 3)
CALM = (
    "open",
    "accept",
    "write",
    "write",
    "deliver",
    "deliver",
    "deliver",
    "pause",
    "resume",
    "block",
    "unblock",
)
WILD = (*CALM, "end", "abort", "refuse")


def happened(deeds: list[Step], *, streams: int) -> Story:
    """What has become of a tunnel in which so many streams stood from each side."""
    story = Story()
    story.begin(streams=streams)
    for deed in deeds:
        story.step(deed)
    return story


@settings(max_examples=40, deadline=None)
@given(steps(*CALM), STREAMS)
def test_every_byte_arrives_in_order_when_all_readers_read(deeds: list[Step], streams: int) -> None:
    story = happened(deeds, streams=streams)
    story.finish()
    for (side, number), end in story.ends.items():
        far = story.ends[story.pair.other(side), number]
        assert far.reading.data == end.written
        assert not end.reading.is_paused, "the writer waits, and nobody is in its way"
        assert end.stream.unsent == 0
    for end in story.order:
        story.end(end)
    story.finish()
    assert all(end.reading.gone for end in story.order), "both ways have ended: gone, and cleanly"
    for side in (story.pair.client, story.pair.server):
        assert not side.session.streams
        assert side.session.theirs == 0
        assert side.budget.left == 64 * 1024 * 1024, "windows gave back what they grew by"
        assert side.kept.left == KEPT, "nothing is kept for another try"
        assert side.early.left == EARLY, "nothing waits for an answer"


@settings(max_examples=60, deadline=None)
@given(steps(*WILD), STREAMS)
def test_what_arrives_is_a_beginning_of_what_was_written(deeds: list[Step], streams: int) -> None:
    story = happened(deeds, streams=streams)
    story.finish()
    for (side, number), end in story.ends.items():
        far = story.ends.get((story.pair.other(side), number))
        if far is None:
            continue
        assert end.written.startswith(far.reading.data)
        if far.reading.has_ended:
            assert end.has_ended
            assert far.reading.data == end.written, "an end that comes says that all has come"
        assert (end.reading.gone is None) == (far.reading.gone is None)
        if end.was_aborted or far.was_aborted:
            assert end.reading.gone is False or far.reading.gone is False
    for side in (story.pair.client, story.pair.server):
        for number in side.session.streams:
            assert number in story.pair.other(side).session.streams, "one end knows a stream that is gone"


@settings(max_examples=30, deadline=None)
@given(steps(*WILD), STREAMS, st.integers(1, 400_000))
def test_a_tunnel_is_never_deaf_after_what_happened_in_it(deeds: list[Step], streams: int, size: int) -> None:
    """The prototype lost its place when a stream was reset in the middle of a payload."""
    story = happened(deeds, streams=streams)
    for side in (story.pair.client, story.pair.server):
        side.unblock()
    story.pair.settle()
    for number in (0, 1):
        end = story.open(story.side(number))
        end.stream.write(BLOB[:size])
        end.written += BLOB[:size]
        story.finish()
        far = story.ends[story.side(number + 1), end.stream.id]
        assert far.reading.data == BLOB[:size]
        story.side(number).session.ping(7)
        story.pair.settle()
        assert story.side(number).pongs == [7]


@settings(max_examples=40, deadline=None)
@given(steps(*WILD), STREAMS, st.integers(0, 1))
def test_a_lost_connection_ends_every_stream_once(deeds: list[Step], streams: int, which: int) -> None:
    story = happened(deeds, streams=streams)
    side = story.side(which)
    mine = [end for (at, _), end in story.ends.items() if at is side]
    side.session.lose()
    assert not side.session.streams
    assert not side.session.has_output
    assert all(end.reading.gone is not None for end in mine)
    for end in mine:
        end.stream.write(b"more")
        end.stream.end()
        end.stream.abort()
        end.stream.resume()
    assert not side.session.has_output
    assert side.budget.left == 64 * 1024 * 1024
    assert (side.kept.left, side.early.left) == (KEPT, EARLY)


@pytest.mark.parametrize("cut", [1, 12, 13, 4096, 65_547, 65_548, 65_549, 150_000])
@pytest.mark.parametrize("who", ["the reader", "the writer", "both"])
def test_a_reset_in_the_middle_of_a_payload_ends_one_stream_only(cut: int, who: str) -> None:
    """Both the reader's promises and the tunnel's place in the bytes survive it."""
    story = Story()
    writer, other = story.open(story.pair.client), story.open(story.pair.client)
    story.finish()
    reader = story.ends[story.pair.server, writer.stream.id]
    for end in (writer, other):
        end.stream.write(BLOB[:200_000])
    story.pair.client.flush()
    story.pair.deliver(story.pair.client, size=cut)
    if who != "the writer":
        reader.stream.abort()
    if who != "the reader":
        writer.stream.abort()
    story.finish()
    assert (reader.reading.gone, writer.reading.gone) == (False, False)
    assert BLOB.startswith(reader.reading.data)
    assert story.ends[story.pair.server, other.stream.id].reading.data == BLOB[:200_000]
    assert list(story.pair.client.session.streams) == [other.stream.id]


@dataclass
class _Bulk:
    """A writer that writes whenever it may."""

    end: End
    left: int

    def go(self) -> None:
        while self.left and not self.end.reading.is_paused:
            size = min(self.left, LARGEST_WRITE)
            self.end.stream.write(BLOB[:size])
            self.left -= size


@settings(max_examples=12, deadline=None)
@given(st.integers(2, 12), st.sampled_from(PIECES[5:]), st.integers(0, 11))
def test_a_reader_that_does_not_read_stops_its_own_stream_only(number: int, piece: int, which: int) -> None:
    story = Story()
    ends = [story.open(story.side(0)) for _ in range(number)]
    story.finish()
    deaf = story.ends[story.side(1), ends[which % number].stream.id]
    deaf.stream.pause()
    writers = [_Bulk(end, left=2_000_000) for end in ends]
    for _ in range(100_000):
        for writer in writers:
            writer.go()
        story.hold()
        moved = 0
        for side in (story.pair.client, story.pair.server):
            side.flush()
            moved += story.pair.deliver(side, size=piece)
        if not moved:
            break
    for writer in writers:
        far = story.ends[story.side(1), writer.end.stream.id]
        if far is deaf:
            assert len(far.reading.data) <= 262_144, "one window, and no more"
        else:
            assert (writer.left, len(far.reading.data)) == (0, 2_000_000)
