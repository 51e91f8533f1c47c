"""A member's gateway gone bad: whatever it says in its tunnel, it loses that stream, or that tunnel.

Nobody else loses anything, and what we keep for it is bounded.

Every story ends with a call by another member, through a tunnel that stood all the time.
"""

import asyncio
import resource
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mesh_core.identity import cluster_id
from mesh_fakes.backends import backend, echo
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.frame_audit import ACK, DATA, FIN, PING, RST, SYN, WINDOW
from mesh_fakes.gateways import LOOPBACK, PATIENT, Ingress, Outlet, egress, ingress
from mesh_fakes.raw_tunnel import HELLO_STREAM, RawTunnel, opening, raw_tunnel
from mesh_fakes.waiting import until
from mesh_gateway.limits import WINDOW as FIRST_WINDOW
from mesh_gateway.limits import Limits
from mesh_gateway.opening import Answer, Opening, write_message
from mesh_gateway.route import Address, ServicePort
from mesh_gateway.tunnel import Tunnel

MIB = 1 << 20
CALM = replace(PATIENT, dead_after=20.0, tunnels_per_peer=1)
GOOD = write_message(Opening(namespace="demo", service="hello", port=80))
ENDLESS = ServicePort("demo", "endless", 80)
ENDLESSLY = write_message(Opening(namespace="demo", service="endless", port=80))
ABSENT = write_message(Opening(namespace="demo", service="absent", port=80))


@dataclass
class Scene:
    """An ingress half with an echo behind it, a tunnel of mallory's to it, and one of a good member's."""

    clusterset: FakeClusterset
    far: Ingress
    near: Outlet
    bad: RawTunnel
    tunnel: Tunnel
    """Mallory's, at our end."""

    async def is_well(self) -> None:
        """The good member is served as before, in the tunnel that it had."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.near.port)
        writer.write(b"as ever")
        writer.write_eof()
        assert await reader.read() == b"as ever"
        writer.close()
        (tunnel,) = self.near.tunnels.of(cluster_id("east"))
        assert tunnel.is_open

    async def refused(self, stream: int, *, message: bytes) -> Answer:
        """The answer to a stream that begins with `message`; one behind it is served as ever."""
        self.bad.send(opening(stream, message=message), opening(stream + 2, message=GOOD))
        answer = await self.bad.answer(stream)
        served = await self.bad.answer(stream + 2)
        assert answer is not None
        assert served is not None
        assert not served.reason
        return answer

    async def is_lost(self) -> None:
        """Mallory's tunnel is gone at both ends, and not because nothing was heard in it."""
        assert await self.bad.is_lost()
        await until(lambda: self.tunnel.is_gone)
        assert "heard" not in self.tunnel._why
        assert not self.far.tunnels.of(cluster_id("mallory"))


@asynccontextmanager
async def scene(*, limits: Limits = CALM, greets: bool = True) -> AsyncIterator[Scene]:
    clusterset = FakeClusterset()
    async with (
        asyncio.timeout(120),
        backend(echo) as there,
        ingress(clusterset, "east", endpoints=(there,), limits=limits) as far,
        egress(clusterset, {"east": (far.address,)}, limits=CALM, tunnels=True) as near,
        raw_tunnel(clusterset, far, greets=greets) as bad,
    ):
        await until(lambda: len(far.tunnels.of(cluster_id("mallory"))) == 1)
        (tunnel,) = far.tunnels.of(cluster_id("mallory"))
        found = Scene(clusterset, far, near, bad, tunnel)
        yield found
        await found.is_well()
    assert far.traffic.admitted == 0


def header(*, version: int = 0, kind: int = DATA, flags: int = 0, stream: int = 3, length: int = 0) -> bytes:
    return struct.pack("!BBHII", version, kind, flags, stream, length)


OPEN = bytes(opening(3, message=GOOD))

TUNNEL_LOST = {
    "another version": header(version=1),
    "an unknown type": header(kind=4),
    "the largest type": header(kind=255, flags=0xFFFF, stream=0xFFFFFFFF, length=0xFFFFFFFF),
    "an unknown flag on DATA": header(flags=16),
    "an unknown flag on WINDOW": header(kind=WINDOW, flags=0x8000 | SYN),
    "an unknown flag on PING": header(kind=PING, flags=16, stream=0),
    "a number of our own kind": header(kind=WINDOW, flags=SYN, stream=2),
    "the number of the tunnel itself": header(kind=WINDOW, flags=SYN, stream=0),
    "SYN and RST for a number of our own kind": header(kind=WINDOW, flags=SYN | RST, stream=4),
    "a number that is taken": header(kind=WINDOW, flags=SYN, stream=HELLO_STREAM),
    "a number that is taken, twice in one write": OPEN + OPEN,
    "more than the window in one frame": header(flags=SYN, length=FIRST_WINDOW + 1),
    "four gigabytes in one frame": OPEN + header(length=0xFFFFFFFF),
    "four gigabytes with SYN": header(flags=SYN, length=0xFFFFFFFF),
    "a window that overflows": OPEN + 2 * header(kind=WINDOW, length=0xFFFFFFFF),
    "data behind an end": bytes(opening(3, message=GOOD, flags=SYN | FIN)) + header(length=1) + b"x",
    "frames that are text": b"GET / HTTP/1.1\r\nHost: east\r\n\r\n",
}


@pytest.mark.asyncio
@pytest.mark.parametrize("data", TUNNEL_LOST.values(), ids=TUNNEL_LOST.keys())
async def test_who_breaks_the_protocol_loses_the_tunnel(data: bytes) -> None:
    async with scene() as found:
        found.bad.send(data)
        await found.is_lost()


@pytest.mark.asyncio
async def test_more_than_the_window_in_many_frames_loses_the_tunnel() -> None:
    async with scene() as found, backend(deaf) as there:
        found.far.route(there, service=ENDLESS)
        found.bad.send(opening(3, message=ENDLESSLY))
        with suppress(ConnectionError):
            for _ in range(16 * 1024):
                found.bad.send(header(length=1024), bytes(1024))
                await found.bad.drained()
        await found.is_lost()


HARMLESS = {
    "nothing but a reset": header(kind=WINDOW, flags=RST, stream=99),
    "the end of a stream that is not there": header(kind=WINDOW, flags=FIN, stream=99),
    "credit for a stream that is not there": header(kind=WINDOW, stream=98, length=0xFFFFFFFF),
    "data for a stream that is not there": header(stream=99, length=70_000) + bytes(70_000),
    "data for a stream that only we could have opened": header(stream=98, length=5) + b"hello",
    "an answer to nothing": header(flags=ACK, stream=2, length=4) + b"\0\2{}",
    "SYN and RST": header(kind=WINDOW, flags=SYN | RST, stream=5),
    "SYN and RST with data": header(flags=SYN | RST, stream=5, length=3) + b"abc",
    "SYN, FIN and nothing": header(kind=WINDOW, flags=SYN | FIN, stream=5),
    "every flag": header(kind=WINDOW, flags=SYN | ACK | FIN | RST, stream=5),
    "a ping without flags": header(kind=PING, stream=0, length=1),
    "the answer to a ping that nobody sent": header(kind=PING, flags=ACK, stream=0, length=77),
    "a ping on a stream": header(kind=PING, flags=SYN, stream=3, length=1),
    "credit of nothing": header(kind=WINDOW, stream=HELLO_STREAM),
    "data of nothing": header(stream=HELLO_STREAM),
    "two ends of one way": 2 * header(kind=WINDOW, flags=FIN, stream=99),
}


@pytest.mark.asyncio
async def test_what_means_nothing_is_passed_over_and_the_tunnel_goes_on() -> None:
    async with scene() as found:
        for number, (what, data) in enumerate(HARMLESS.items()):
            stream = 101 + 2 * number
            found.bad.send(data, opening(stream, message=GOOD, payload=what.encode()))
            answer = await found.bad.answer(stream)
            assert answer is not None, what
            assert not answer.reason, what
            assert await found.bad.payload(stream) == what.encode()


@pytest.mark.asyncio
async def test_an_answer_before_the_ping_makes_nobody_near() -> None:
    async with scene() as found:
        for number in range(1, 4097):
            found.bad.send(header(kind=PING, flags=ACK, stream=0, length=number))
        found.bad.send(opening(3, message=GOOD))
        assert await found.bad.answer(3) is not None
        assert found.tunnel.rtt is None


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(2, "big") + body


NO_OPENINGS = {
    "a length of nothing": b"\0\0",
    "a length beyond the bound": b"\x10\x01" + b"{" * 4097,
    "the largest length": b"\xff\xff" + b"x" * 100,
    "no JSON": framed(b"hello"),
    "half of a JSON object": framed(b'{"service": "hello"'),
    "a list": framed(b"[]"),
    "a number": framed(b"7"),
    "nesting without end": framed(b"[" * 4096),
    "nesting in a field that is skipped": framed(b'{"x":' + b"[" * 4000 + b"}"),
    "bytes that are not UTF-8": framed(b'{"service": "\xff\xfe"}'),
    "half a surrogate": framed(b'{"service": "\\ud800"}'),
    "a number for a name": framed(b'{"service": 7}'),
    "a name of 64 characters": framed(b'{"service": "' + b"a" * 64 + b'"}'),
    "a name of 4000 characters": framed(b'{"service": "' + b"a" * 4000 + b'"}'),
    "a port beyond ports": framed(b'{"service": "hello", "port": 65536}'),
    "a port below nought": framed(b'{"service": "hello", "port": -1}'),
    "a port of a hundred digits": framed(b'{"service": "hello", "port": ' + b"9" * 100 + b"}"),
    "a port with a fraction": framed(b'{"service": "hello", "port": 80.5}'),
    "another protocol": framed(b'{"service": "hello", "protocol": "SCTP"}'),
    "a source that is a text": framed(b'{"service": "hello", "source": "me"}'),
    "another hello": framed(b'{"hello": {"cluster": "mallory"}}'),
    "a hello of the future": framed(b'{"hello": {"version": 1001}}'),
    "too many siblings": framed(b'{"hello": {"siblings": [' + b'"",' * 300 + b'""]}}'),
}


@pytest.mark.asyncio
async def test_an_opening_that_does_not_read_costs_its_stream_and_nothing_else() -> None:
    async with scene() as found:
        for number, (what, message) in enumerate(NO_OPENINGS.items()):
            answer = await found.refused(101 + 4 * number, message=message)
            assert answer.reason == "BadOpening", what


NO_SERVICES = {
    "nothing at all": framed(b"{}"),
    "only spaces": framed(b'{"service": "   "}'),
    "a path": framed(b'{"namespace": "../demo", "service": "hello", "port": 80}'),
    "another case": framed(b'{"namespace": "demo", "service": "HELLO", "port": 80}'),
    "NUL in a name": framed(b'{"namespace": "demo", "service": "hello\\u0000", "port": 80}'),
    "a line feed, for the log": framed(b'{"namespace": "demo", "service": "a\\nlevel=error", "port": 80}'),
    "letters that look alike": framed('{"namespace": "demo", "service": "h\u0435llo", "port": 80}'.encode()),
    "an endpoint of a service that has none": framed(
        b'{"namespace": "demo", "service": "hello", "port": 80, "endpoint": "127.0.0.1"}'
    ),
    "UDP of a service of TCP": framed(
        b'{"namespace": "demo", "service": "hello", "port": 80, "protocol": "UDP"}'
    ),
    "a target that is not in the list": framed(b'{"reserved": "kubelet", "component": "access"}'),
    "the API server, without a consent": framed(b'{"reserved": "kube-apiserver", "component": "access"}'),
    "a reserved target for nobody": framed(b'{"reserved": "peer"}'),
    "a name twice": framed(b'{"namespace": "demo", "service": "hello", "service": "x", "port": 80}'),
    "huge texts everywhere": framed(
        b'{"id": "' + b"f" * 32 + b'", "endpoint": "' + b"e" * 253 + b'", "source": {"account": "'
        + b"a" * 253 + b'", "pod": "' + b"p" * 253 + b'"}}'
    ),
}  # fmt: skip


@pytest.mark.asyncio
async def test_what_is_not_exported_is_refused_and_the_tunnel_goes_on() -> None:
    async with scene() as found:
        for number, (what, message) in enumerate(NO_SERVICES.items()):
            answer = await found.refused(101 + 4 * number, message=message)
            assert answer.reason, what
            assert answer.why.isprintable(), what


@pytest.mark.asyncio
async def test_a_number_that_was_used_and_is_free_again_harms_nobody() -> None:
    async with scene() as found:
        for _ in range(3):
            found.bad.send(opening(3, message=ABSENT))
            answer = await found.bad.answer(3)
            assert answer is not None
            assert answer.reason == "NotExported"
            await found.bad.read_until(lambda one: bool(one.flags & RST))


@pytest.mark.asyncio
async def test_a_tunnel_that_does_not_say_who_it_is_ends() -> None:
    async with scene(limits=replace(CALM, handshake=0.5), greets=False) as found:
        found.bad.send(header()[:11])
        await found.is_lost()


@pytest.mark.asyncio
async def test_openings_that_never_end_are_reset_one_by_one() -> None:
    async with scene(limits=replace(CALM, hello=0.3)) as found:
        found.bad.send(
            opening(3, message=b"\x10\x00{"), opening(5, message=b"\x0f"), header(flags=SYN, stream=7)
        )
        found.bad.send(header(stream=3, length=4000), b" " * 10)
        for number in (3, 5, 7):
            assert await found.bad.answer(number) is None
        found.bad.send(b" " * 3990, opening(9, message=GOOD))
        served = await found.bad.answer(9)
        assert served is not None
        assert not served.reason


@pytest.mark.asyncio
async def test_ten_thousand_streams_without_a_word_are_bounded_and_go_again() -> None:
    """The first thousands are kept for a moment; further ones are reset at once."""
    async with scene(limits=replace(CALM, hello=1.0, streams_per_tunnel=2000)) as found:
        tunnel = found.tunnel
        before = memory()
        for number in range(3, 20_003, 2):
            found.bad.send(header(kind=WINDOW, flags=SYN, stream=number))
        await found.bad.read_until(lambda one: bool(one.flags & RST) and one.stream == 20_001)
        assert tunnel.session.theirs <= 2000
        assert memory() - before < 32 * MIB
        await until(lambda: tunnel.session.theirs == 1, limit=90)
        assert not tunnel.session.asking


Flood = Callable[[int], bytes]

FLOODS: dict[str, Flood] = {
    "pings": lambda n: header(kind=PING, flags=SYN, stream=0, length=n),
    "services that are not there": lambda n: bytes(opening(3 + 2 * n, message=ABSENT)),
    "messages that do not read": lambda n: bytes(opening(3 + 2 * n, message=b"\0\0")),
    "openings that end at once": lambda n: header(kind=WINDOW, flags=SYN | FIN, stream=3 + 2 * n),
    "hellos": lambda n: bytes(opening(3 + 2 * n, message=framed(b'{"hello": {}}'))),
    "streams beyond the bound": lambda n: header(kind=WINDOW, flags=SYN, stream=3 + 2 * n),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("make", FLOODS.values(), ids=FLOODS.keys())
async def test_who_asks_without_end_and_reads_no_answer_loses_the_tunnel(make: Flood) -> None:
    async with scene(limits=replace(CALM, streams_per_tunnel=100)) as found:
        tunnel = found.tunnel
        before = memory()
        most = 0

        async def flood() -> None:
            nonlocal most
            for start in range(0, 4_000_000, 2000):
                found.bad.send(*map(make, range(start, start + 2000)))
                await found.bad.drained()
                most = max(most, memory() - before)

        with suppress(ConnectionError):
            flooding = asyncio.ensure_future(flood())
            await until(lambda: tunnel.is_gone or flooding.done(), limit=50)
            flooding.cancel()
        assert tunnel.is_gone
        assert most < 48 * MIB, f"{most / MIB:.0f} MiB for one tunnel"


def memory() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@contextmanager
def black_hole() -> Iterator[Address]:
    """An address where connections are neither taken nor refused."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind((LOOPBACK, 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield Address(*listener.getsockname())


@pytest.mark.asyncio
async def test_data_that_nobody_can_take_yet_is_bounded_for_all_streams_together() -> None:
    """A window each would be gigabytes, and nobody would have broken the protocol (ruling 15)."""
    async with scene() as found:
        with black_hole() as nowhere:
            found.far.route(nowhere, service=ENDLESS)
            size = FIRST_WINDOW - len(ENDLESSLY)
            before, most = memory(), 0
            for number in range(3, 1003, 2):
                found.bad.send(opening(number, message=ENDLESSLY, payload=bytes(size)))
                await found.bad.drained()
                kept = sum(stream.unread for stream in found.tunnel.session.streams.values())
                most = max(most, kept)
                assert kept <= CALM.early_from_peer
            assert most > 4 * MIB, "somebody waits for the endpoint"
            assert memory() - before < 64 * MIB
            answer = await found.bad.answer(1001)
            assert answer is not None
            assert answer.reason == "Overload"
            for stream in tuple(found.tunnel.session.streams.values()):
                if stream is not found.tunnel.talk:
                    stream.abort()
            found.far.traffic.abort()


async def gush(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says more than anybody wants to hear."""
    with suppress(ConnectionError):
        while True:
            writer.write(bytes(16 * 1024))
            await writer.drain()


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads nothing."""
    await writer.wait_closed()


@pytest.mark.asyncio
async def test_who_allows_everything_and_reads_nothing_makes_us_keep_little() -> None:
    async with scene() as found, backend(gush) as endless:
        found.far.route(endless, service=ENDLESS)
        tunnel = found.tunnel
        numbers = range(3, 43, 2)
        before = memory()
        for number in numbers:
            found.bad.send(
                opening(number, message=ENDLESSLY), header(kind=WINDOW, stream=number, length=0x7FFFFFFF)
            )
        await until(lambda: tunnel.session.blocked and len(tunnel.session._waiting) >= len(numbers), limit=90)
        waiting = tunnel.unsent + sum(map(len, tunnel.session._out)) + found.far.traffic.unsent
        assert waiting < len(numbers) * 512 * 1024 + 4 * MIB
        assert memory() - before < len(numbers) * 512 * 1024 + 8 * MIB
        for stream in tuple(tunnel.session.streams.values()):
            stream.abort()
