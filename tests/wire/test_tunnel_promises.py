"""What the called end of a tunnel promises, byte by byte: the hello, the answer, and what a reset means.

docs/wire.md, "A tunnel: `meshctl-tunnel/1`"; the caller is raw bytes on real TLS, the rest is real.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from mesh_core.identity import cluster_id
from mesh_fakes.backends import backend
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.frame_audit import ACK, DATA, FIN, GO_AWAY, RST, WINDOW, Frame
from mesh_fakes.gateways import PATIENT, Ingress, ingress
from mesh_fakes.raw_tunnel import HELLO_STREAM, RawTunnel, opening, raw_tunnel
from mesh_fakes.waiting import until
from mesh_gateway.opening import Answer, Opening, Reason, TunnelHello, read_answer, write_message

ASKS = write_message(Opening(namespace="demo", service="hello", port=80))
CLUSTER = "west"


@dataclass
class Program:
    """The program behind the service: it notes what comes, and answers each connection by `deed`."""

    came: list[bytes] = field(default_factory=list)
    connections: int = 0
    ended: int = 0
    deed: str = "echo"

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while data := await reader.read(65536):
                self.came.append(data)
                if self.deed == "reset":
                    sock: socket.socket = writer.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                writer.write(data)
                await writer.drain()
        finally:
            self.ended += 1


@asynccontextmanager
async def scene(*, greets: bool = True) -> AsyncIterator[tuple[RawTunnel, Ingress, Program]]:
    clusterset, program = FakeClusterset(), Program()
    async with (
        asyncio.timeout(120),
        backend(program.talk) as there,
        ingress(clusterset, "east", endpoints=(there,), limits=PATIENT) as far,
        raw_tunnel(clusterset, far, cluster=CLUSTER, greets=greets) as raw,
    ):
        yield raw, far, program


async def frames_of(raw: RawTunnel, stream: int, *, last: int) -> list[Frame]:
    """What the other end says on a stream, up to a frame with such a flag."""
    found: list[Frame] = []
    while not found or not found[-1].flags & last:
        found.append(await raw.read_until(lambda frame: frame.stream == stream))
    return found


@pytest.mark.asyncio
async def test_the_answer_comes_before_all_else_and_carries_the_acknowledgement() -> None:
    async with scene() as (raw, _, _):
        raw.send(opening(3, message=ASKS, payload=b"early"), Frame(WINDOW, FIN, 3, 0))
        first, *rest = await frames_of(raw, 3, last=FIN)
        assert bytes(first)[12:] == b"\x00\x02{}"
        assert first.flags == ACK
        assert b"".join(frame.payload for frame in rest) == b"early"
        assert not any(frame.flags & ACK for frame in rest)


@pytest.mark.asyncio
async def test_whoever_got_a_byte_is_accepted_first_even_if_he_resets_at_once() -> None:
    """So that a reset without an answer always means that nobody got anything (ruling 9)."""
    async with scene() as (raw, _, program):
        program.deed = "reset"
        for stream in range(3, 43, 2):
            raw.send(opening(stream, message=ASKS, payload=b"early"))
            found = await frames_of(raw, stream, last=RST)
            assert read_answer(found[0].payload[2:]) == Answer()
        assert program.came == [b"early"] * 20


@pytest.mark.asyncio
async def test_a_stream_that_is_reset_before_its_endpoint_answers_brings_it_nothing() -> None:
    async with scene() as (raw, far, program):
        for stream in range(3, 43, 2):
            raw.send(opening(stream, message=ASKS, payload=b"early"), Frame(WINDOW, RST, stream, 0))
        await raw.drained()
        await until(lambda: far.traffic.admitted == 0 and program.ended == program.connections)
        raw.send(opening(99, message=ASKS, payload=b"wanted"))
        await raw.read_until(lambda frame: frame.stream == 99 and frame.kind == DATA and not frame.flags)
        assert program.came == [b"wanted"]


@pytest.mark.asyncio
async def test_a_refusal_says_why_then_ends_and_resets() -> None:
    async with scene() as (raw, _, program):
        absent = write_message(Opening(namespace="demo", service="absent", port=80))
        raw.send(opening(3, message=absent, payload=b"early"))
        first, *rest = await frames_of(raw, 3, last=RST)
        assert first.flags == ACK
        assert read_answer(first.payload[2:]).reason == Reason.NOT_EXPORTED.value
        assert [frame.flags for frame in rest] == [FIN, RST]
        assert not program.connections


@pytest.mark.asyncio
async def test_who_goes_away_is_still_served_and_then_closed() -> None:
    async with scene() as (raw, _, _):
        raw.send(opening(3, message=ASKS, payload=b"one"))
        await raw.read_until(lambda frame: frame.stream == 3 and frame.payload == b"one")
        raw.send(Frame(GO_AWAY, 0, 0, 0), Frame(DATA, FIN, 3, 3, b"two"))
        await raw.read_until(lambda frame: frame.stream == 3 and frame.payload == b"two")
        assert await raw.is_lost()


@pytest.mark.asyncio
async def test_after_our_go_away_a_new_stream_is_reset_and_an_old_one_goes_on() -> None:
    async with scene() as (raw, far, _):
        raw.send(opening(3, message=ASKS, payload=b"one"))
        await raw.read_until(lambda frame: frame.stream == 3 and frame.payload == b"one")
        far.tunnels.leave()
        await raw.read_until(lambda frame: frame.kind == GO_AWAY and frame.length == 0)
        raw.send(opening(5, message=ASKS))
        assert await raw.answer(5) is None
        raw.send(Frame(DATA, FIN, 3, 3, b"two"))
        await raw.read_until(lambda frame: frame.stream == 3 and frame.payload == b"two")
        assert await raw.is_lost()


@pytest.mark.asyncio
async def test_a_stream_that_crosses_our_go_away_in_an_empty_tunnel_is_reset_and_so_refused() -> None:
    """Its caller may go elsewhere then; closed at once, it would cost him his client (ruling 6)."""
    async with scene() as (raw, far, program):
        far.tunnels.leave()
        await asyncio.sleep(0)
        await raw.read_until(lambda frame: frame.kind == GO_AWAY)
        raw.send(opening(3, message=ASKS, payload=b"sent before the go-away was read"))
        assert await raw.answer(3) is None
        assert not program.connections


@pytest.mark.asyncio
async def test_a_hello_is_answered_and_may_be_said_again_when_siblings_change() -> None:
    async with scene() as (raw, far, _):
        (tunnel,) = far.tunnels.of(cluster_id(CLUSTER))
        again = write_message(
            TunnelHello(cluster=CLUSTER, replica="west-0", siblings=("west-0", "west-1"), features=("later",))
        )
        for at in range(len(again)):
            raw.send(Frame(DATA, 0, HELLO_STREAM, 1, again[at : at + 1]))
        await until(lambda: tunnel.hello is not None and tunnel.hello.siblings == ("west-0", "west-1"))
        raw.send(Frame(DATA, 0, HELLO_STREAM, 4, b"\x00\x02no"))
        assert await raw.is_lost()


@pytest.mark.parametrize(
    ("hello", "why"),
    [
        (TunnelHello(cluster="north", replica="n-0"), "names cluster 'north', its certificate west"),
        (TunnelHello(cluster="", replica="n-0"), "names cluster ''"),
    ],
)
@pytest.mark.asyncio
async def test_a_hello_that_is_not_the_certificates_is_refused_with_words(
    hello: TunnelHello, why: str
) -> None:
    async with scene(greets=False) as (raw, far, _):
        raw.send(opening(HELLO_STREAM, message=write_message(Opening(hello=hello))))
        answer = await raw.answer(HELLO_STREAM)
        assert answer is not None
        assert (answer.reason, why in answer.why) == (Reason.UNSUPPORTED.value, True)
        assert answer.hello is not None
        assert answer.hello.cluster == "east"
        assert await raw.is_lost()
        assert why in far.witness.problems[CLUSTER]


@pytest.mark.asyncio
async def test_a_hello_of_a_later_version_is_taken_as_it_is_understood() -> None:
    async with scene(greets=False) as (raw, far, _):
        later = TunnelHello(version=7, cluster=CLUSTER, replica="west-0", features=("telepathy",))
        raw.send(opening(HELLO_STREAM, message=write_message(Opening(hello=later))))
        answer = await raw.answer(HELLO_STREAM)
        assert answer is not None
        assert answer.reason == ""
        assert answer.hello is not None
        assert answer.hello.version == 1
        (tunnel,) = far.tunnels.of(cluster_id(CLUSTER))
        assert tunnel.is_open


@pytest.mark.asyncio
async def test_nothing_is_served_before_the_hello() -> None:
    async with scene(greets=False) as (raw, _, program):
        raw.send(opening(HELLO_STREAM, message=ASKS, payload=b"early"))
        answer = await raw.answer(HELLO_STREAM)
        assert answer is not None
        assert answer.reason == Reason.BAD_OPENING.value
        await raw.hello_on(3, cluster=CLUSTER)
        raw.send(opening(5, message=ASKS))
        served = await raw.answer(5)
        assert served is not None
        assert not served.reason
        assert program.came == []
