"""Our tunnels against HashiCorp's yamux in Go, which speaks the messages of docs/wire.md too; both ways.

The Go end checks our frames in its own way: what its library logs as an error fails the test.
"""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from mesh_fakes.go_yamux import GoPeer, go_peer, program
from mesh_fakes.plain_tunnel import PEER, plain_pool
from mesh_fakes.waiting import until
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opening import Answer, Opening, Reason, read_answer, write_message
from mesh_gateway.tunnel import Tunnel

PAYLOAD = random.Random(20).randbytes(8 << 20)
MIB = 1 << 20
LIMIT = 60


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    """Builds the Go end before a test's time runs."""
    asyncio.run(program())


class Echo:
    """Says back what it hears, at the pace of the one who reads it."""

    def __init__(self, stream: MuxStream) -> None:
        self.stream = stream
        self.gone: bool | None = None

    def bytes_came(self, data: bytes) -> None:
        self.stream.write(data)

    def bytes_ended(self) -> None:
        self.stream.end()

    def send_paused(self) -> None:
        self.stream.pause()

    def send_resumed(self) -> None:
        self.stream.resume()

    def stream_gone(self, *, cleanly: bool) -> None:
        self.gone = cleanly


class Deaf(Echo):
    """Reads nothing until `listen`, whatever becomes of what it said itself."""

    has_ears = False

    def send_resumed(self) -> None:
        if self.has_ears:
            super().send_resumed()

    def listen(self) -> None:
        self.has_ears = True
        self.stream.resume()


class Cut(Echo):
    """Resets in the middle of what it hears."""

    def bytes_came(self, data: bytes) -> None:
        self.stream.abort()


class Call:
    """A stream of ours: sends `payload` as the window allows, and keeps what comes."""

    def __init__(self, tunnel: Tunnel, service: str, *, payload: bytes, ends: bool = True) -> None:
        opening = Opening(id="00000000000000bb", namespace="demo", service=service, port=80)
        self.heard = bytearray()
        self.answer: bytes | None = None
        self.was_answered = False
        self.has_ended = False
        self.gone: bool | None = None
        self._left = memoryview(payload)
        self._may_write = True
        self._ends = ends
        self.stream = tunnel.session.open(write_message(opening), answered=self._answered)
        self.stream.start(self)
        self._send()

    def _answered(self, stream: MuxStream, message: bytes | None) -> None:
        self.was_answered, self.answer = True, message
        if message is not None and not read_answer(message).reason:
            stream.accepted()

    def _send(self) -> None:
        while self._left and self._may_write:
            piece, self._left = self._left[:100_000], self._left[100_000:]
            self.stream.write(bytes(piece))
        if not self._left and self._ends:
            self.stream.end()

    def bytes_came(self, data: bytes) -> None:
        self.heard += data

    def bytes_ended(self) -> None:
        self.has_ended = True

    def send_paused(self) -> None:
        self._may_write = False

    def send_resumed(self) -> None:
        self._may_write = True
        self._send()

    def stream_gone(self, *, cleanly: bool) -> None:
        self.gone = cleanly


@dataclass
class Scene:
    """A tunnel between us and Go; `served` are Go's streams to us."""

    go: GoPeer
    tunnel: Tunnel
    served: list[Echo] = field(default_factory=list)

    async def is_well(self) -> None:
        """The tunnel carries on, nothing is left in it, and Go has no complaints."""
        last = Call(self.tunnel, "echo", payload=b"still there")
        await until(lambda: last.gone is not None, limit=LIMIT)
        assert (last.gone, bytes(last.heard)) == (True, b"still there")
        report = await self.go.tell("call", service="echo", size=1000)
        assert report.same == 1
        await until(lambda: self.tunnel.streams == 0, limit=LIMIT)
        state = await self.go.tell("state")
        assert state.errors == ()
        assert state.open == 1, "the hello's stream stays open, and nothing else"


@asynccontextmanager
async def scene(way: str, *, window: int = 256 * 1024) -> AsyncIterator[Scene]:
    """`way` says who dials."""
    served: list[Echo] = []

    def asked(_tunnel: Tunnel, stream: MuxStream, opening: Opening) -> None:
        serve(stream, opening, served=served)

    async with plain_pool(asked) as (ours, port), asyncio.timeout(LIMIT):
        if way == "we dial":
            async with go_peer(window=window) as go:
                tunnel = await ours.dial(go.port)
                await until(lambda: tunnel.is_open, limit=LIMIT)
                yield Scene(go, tunnel, served)
        else:
            async with go_peer(dials=port, window=window) as go:
                report = await go.tell("hello")
                assert report.hello is not None
                assert (report.hello.cluster, report.hello.replica) == ("west", "west-0")
                (tunnel,) = ours.pool.of(PEER)
                yield Scene(go, tunnel, served)


def serve(stream: MuxStream, opening: Opening, *, served: list[Echo]) -> None:
    """What we do for Go."""
    if opening.service == "absent":
        stream.refuse(Answer(Reason.NOT_EXPORTED.value, "no such service"))
        return
    echo = {"cut": Cut, "deaf": Deaf}.get(opening.service, Echo)(stream)
    served.append(echo)
    stream.accept()
    if opening.service == "deaf":
        stream.pause()
    stream.start(echo)


Story = Callable[[Scene], Awaitable[None]]


def both_ways_round(
    window: int = 256 * 1024,
) -> Callable[[Story], Callable[..., Coroutine[None, None, None]]]:
    """The story as two tests, one for each end that dials; each ends with a tunnel that is well."""

    def made(story: Story) -> Callable[..., Coroutine[None, None, None]]:
        @pytest.mark.asyncio
        @pytest.mark.parametrize("way", ["we dial", "Go dials"])
        async def test(way: str) -> None:
            async with scene(way, window=window) as found:
                await story(found)
                await found.is_well()

        return test

    return made


async def over(*calls: Call) -> None:
    await until(lambda: all(call.gone is not None for call in calls), limit=LIMIT)


@both_ways_round()
async def test_each_end_knows_the_other_by_its_hello(scene: Scene) -> None:
    assert scene.tunnel.hello is not None
    assert scene.tunnel.hello.replica == "east-go"
    assert scene.tunnel.hello.siblings == ("east-go",)
    state = await scene.go.tell("state")
    assert state.hello is not None
    assert state.hello.cluster == "west"


@both_ways_round()
async def test_two_hundred_streams_from_each_end_at_once(scene: Scene) -> None:
    theirs = asyncio.create_task(scene.go.tell("call", service="echo", streams=200, size=20_000))
    ours = [Call(scene.tunnel, "echo", payload=PAYLOAD[n : n + 20_000]) for n in range(200)]
    report = await theirs
    await over(*ours)
    assert report.same == 200
    assert [bytes(call.heard) == PAYLOAD[n : n + 20_000] for n, call in enumerate(ours)] == [True] * 200
    assert all(call.gone for call in ours)


async def bulk(scene: Scene) -> None:
    theirs = asyncio.create_task(scene.go.tell("call", service="echo", streams=1, size=8 * MIB))
    ours = Call(scene.tunnel, "echo", payload=PAYLOAD)
    assert (await theirs).same == 1
    await over(ours)
    assert ours.heard == PAYLOAD


test_bulk_within_the_window_of_the_specification = both_ways_round()(bulk)
test_bulk_within_windows_that_grow_at_both_ends = both_ways_round(window=4 * MIB)(bulk)


@both_ways_round()
async def test_a_reader_that_does_not_read_stops_its_own_stream_only(scene: Scene) -> None:
    deaf_there = Call(scene.tunnel, "deaf", payload=PAYLOAD[: 2 * MIB])
    deaf_here = asyncio.create_task(scene.go.tell("call", service="deaf", size=2 * MIB))
    await until(lambda: bool(scene.served) and scene.served[0].stream.came > 0, limit=LIMIT)
    others = [Call(scene.tunnel, "echo", payload=PAYLOAD[:MIB]) for _ in range(3)]
    assert (await scene.go.tell("call", service="echo", streams=3, size=MIB)).same == 3
    await over(*others)
    assert all(call.heard == PAYLOAD[:MIB] for call in others)
    assert scene.served[0].stream.came <= 256 * 1024, "one window, and no more"
    assert deaf_there.stream.sent <= 256 * 1024
    await scene.go.tell("let")
    deaf = scene.served[0]
    assert isinstance(deaf, Deaf)
    deaf.listen()
    assert (await deaf_here).same == 1
    await over(deaf_there)
    assert deaf_there.heard == PAYLOAD[: 2 * MIB]


@both_ways_round()
async def test_half_close_of_ours_lets_the_answer_come(scene: Scene) -> None:
    call = Call(scene.tunnel, "digest", payload=PAYLOAD[:MIB])
    await over(call)
    assert (call.gone, bytes(call.heard)) == (True, hashlib.sha256(PAYLOAD[:MIB]).digest())


@both_ways_round()
async def test_half_close_of_theirs_lets_us_go_on(scene: Scene) -> None:
    call = Call(scene.tunnel, "first", payload=b"", ends=False)
    await until(lambda: call.has_ended, limit=LIMIT)
    assert bytes(call.heard) == b"all that I say"
    assert call.gone is None
    call.stream.write(PAYLOAD[:100_000])
    call.stream.end()
    await over(call)
    assert call.gone is True


@both_ways_round()
async def test_their_reset_in_the_middle_of_a_payload_ends_that_stream(scene: Scene) -> None:
    call = Call(scene.tunnel, "cut", payload=b"go", ends=False)
    await over(call)
    assert call.gone is False
    assert len(call.heard) % (64 * 1024) == 0 or len(call.heard) < MIB


@both_ways_round()
async def test_our_reset_in_the_middle_of_a_payload_ends_that_stream(scene: Scene) -> None:
    there = Call(scene.tunnel, "echo", payload=PAYLOAD[:MIB], ends=False)
    await until(lambda: len(there.heard) > 0, limit=LIMIT)
    there.stream.abort()
    assert there.gone is False
    report = await scene.go.tell("call", service="cut", streams=5, size=MIB)
    assert report.resets + len(report.broken) == 5
    assert set(report.broken) <= {"connection reset", "stream closed"}


@both_ways_round()
async def test_refusals_are_heard_at_both_ends(scene: Scene) -> None:
    refused = Call(scene.tunnel, "absent", payload=b"kept")
    await until(lambda: refused.was_answered, limit=LIMIT)
    assert refused.answer is not None
    assert read_answer(refused.answer).reason == Reason.NOT_EXPORTED.value
    kept, ended = refused.stream.take_kept()
    assert (b"".join(kept), ended) == (b"kept", True)
    vanished = Call(scene.tunnel, "vanish", payload=b"kept")
    await over(vanished)
    assert vanished.was_answered
    assert vanished.answer is None
    assert vanished.stream.is_gone
    assert not scene.tunnel.is_gone
    refused.stream.abort()
    report = await scene.go.tell("call", service="absent", streams=20, size=1000)
    # Go forgets what has come when the reset behind the answer arrives; that is a refusal all the same.
    assert report.refused.get("NotExported", 0) + report.resets == 20


@both_ways_round()
async def test_pings_are_answered_at_both_ends(scene: Scene) -> None:
    report = await scene.go.tell("ping")
    assert report.error == ""
    assert 0 < report.seconds < 10
    await until(lambda: scene.tunnel.rtt is not None, limit=LIMIT)
    assert 0 < (scene.tunnel.rtt or 0) < 10


@pytest.mark.asyncio
@pytest.mark.parametrize("way", ["we dial", "Go dials"])
async def test_after_our_go_away_go_opens_nothing_and_open_streams_end_in_peace(way: str) -> None:
    async with scene(way) as found:
        call = Call(found.tunnel, "echo", payload=PAYLOAD[:1000], ends=False)
        await until(lambda: len(call.heard) == 1000, limit=LIMIT)
        found.tunnel.leave()
        report = await found.go.tell("call", service="echo", streams=3)
        assert report.same == 0
        assert report.resets + len(report.broken) == 3
        call.stream.write(PAYLOAD[1000:2000])
        call.stream.end()
        await over(call)
        assert (call.gone, bytes(call.heard)) == (True, PAYLOAD[:2000])
        await until(lambda: found.tunnel.is_gone, limit=LIMIT)
        state = await found.go.tell("state")
        assert state.errors == ()


@pytest.mark.asyncio
@pytest.mark.parametrize("way", ["we dial", "Go dials"])
async def test_after_their_go_away_we_open_nothing_and_open_streams_end_in_peace(way: str) -> None:
    async with scene(way) as found:
        call = Call(found.tunnel, "echo", payload=PAYLOAD[:1000], ends=False)
        await until(lambda: len(call.heard) == 1000, limit=LIMIT)
        await found.go.tell("go-away")
        await until(lambda: not found.tunnel.is_open, limit=LIMIT)
        assert not found.tunnel.is_gone
        call.stream.end()
        await over(call)
        assert call.gone is True
        await until(lambda: found.tunnel.is_gone, limit=LIMIT)
        assert (await found.go.tell("state")).errors == ()
