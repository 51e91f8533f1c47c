"""Plain connections joined inside the kernel: whole, half closed, broken, slow, and without pipes."""

import asyncio
import errno
import os
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from mesh_fakes.backends import Conversation, backend, count_then_answer, echo, saying
from mesh_fakes.gateways import LOOPBACK, on_both_loops
from mesh_fakes.waiting import until
from mesh_gateway.limits import Limits
from mesh_gateway.pipes import Pipe, Pipes
from mesh_gateway.pump import Pump
from mesh_gateway.splice import Splice
from mesh_gateway.tcp_stream import TcpStream, listen
from mesh_gateway.traffic import Traffic

MEGABYTE = 1 << 20


@dataclass
class Passage:
    """Passes on what comes to `port`, after `first`."""

    port: int
    traffic: Traffic
    joined: list[object] = field(default_factory=list)

    @property
    def splice(self) -> Splice:
        found = self.joined[-1]
        assert isinstance(found, Splice)
        return found


class OpenTraffic(Traffic):
    """Tells what it carries, and takes the pipes that it is given."""

    def __init__(self, limits: Limits, *, pipes: Pipes | None) -> None:
        super().__init__(limits)
        self._pipes = pipes or self._pipes

    def carried(self) -> list[object]:
        return list(self._pumps)


class NoPipes(Pipes):
    """There are no descriptors left."""

    def take(self) -> Pipe:
        raise OSError(errno.EMFILE, "Too many open files")


class NoRealPipes(Pipes):
    """What it gives is not what a socket can be spliced to, as in a sandbox that cannot splice at all."""

    def take(self) -> Pipe:
        nowhere = os.open("/dev/null", os.O_RDWR)
        return Pipe(exit=os.dup(nowhere), entry=nowhere, size=65536)

    def give_back(self, pipe: Pipe) -> None:
        pipe.close()


class Undivided(TcpStream):
    """A connection whose socket cannot be had a second time."""

    def duplicate(self) -> None:
        return None


@asynccontextmanager
async def passage(
    talk: Conversation,
    *,
    first: bytes = b"",
    limits: Limits | None = None,
    pipes: Pipes | None = None,
    far: type[TcpStream] = TcpStream,
) -> AsyncIterator[Passage]:
    """A way from a port to a backend that talks like this; at the end nothing is left of it."""
    async with backend(talk) as there, asyncio.TaskGroup() as group:
        traffic = OpenTraffic(limits or Limits(), pipes=pipes)
        way = Passage(port=0, traffic=traffic)

        async def join(stream: TcpStream) -> None:
            _, out = await asyncio.get_running_loop().create_connection(far, there.host, there.port)
            traffic.pass_through(stream, out, first=first, endpoint=there)
            way.joined += [one for one in traffic.carried() if one not in way.joined]

        def accepted(stream: TcpStream) -> None:
            assert traffic.admit()
            group.create_task(join(stream))

        server = await listen(lambda: TcpStream(accepted=accepted), LOOPBACK, port=0, backlog=64)
        way.port = server.sockets[0].getsockname()[1]
        try:
            yield way
            await until(lambda: not traffic.carried())
            assert not traffic.admitted
            assert not traffic.open_streams
        finally:
            server.close()
            traffic.abort()


async def client(way: Passage) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(LOOPBACK, way.port)


@on_both_loops
async def test_bytes_and_both_ends_come_through_and_are_counted() -> None:
    async with passage(echo) as way:
        reader, writer = await client(way)
        message = os.urandom(8 * MEGABYTE)

        async def send() -> None:
            writer.write(message)
            await writer.drain()
            writer.write_eof()

        sending = asyncio.ensure_future(send())
        assert await reader.read(-1) == message
        await sending
        writer.close()
        await until(lambda: not way.traffic.admitted)
        assert way.splice.carried == (len(message), len(message))
        assert way.splice.unsent == 0


@on_both_loops
async def test_what_was_read_before_goes_first() -> None:
    async with passage(echo, first=b"hello, ") as way:
        reader, writer = await client(way)
        writer.write(b"world")
        assert await reader.readexactly(12) == b"hello, world"
        writer.close()


@on_both_loops
async def test_who_says_all_and_ends_before_anybody_listens_is_heard_and_answered() -> None:
    async with passage(count_then_answer, first=b"12345") as way:
        for _ in range(20):
            reader, writer = await client(way)
            writer.write(b"6789")
            writer.write_eof()
            assert await reader.read(-1) == b"9 bytes"
            writer.close()


@on_both_loops
async def test_small_and_large_pieces_in_any_order_stay_in_order() -> None:
    dice = random.Random(20)
    async with passage(echo) as way:
        reader, writer = await client(way)
        pieces = [dice.randbytes(dice.choice((1, 100, 5_000, 70_000, 700_000))) for _ in range(60)]

        async def send() -> None:
            for number, piece in enumerate(pieces):
                writer.write(piece)
                await writer.drain()
                if number % 5 == 0:
                    # What was sent so far comes back before more goes: now and then both ways are empty.
                    sent = sum(map(len, pieces[: number + 1]))
                    await until(lambda sent=sent: len(back) == sent)  # type: ignore[misc]  # the default binds it
            writer.write_eof()

        back = bytearray()
        sending = asyncio.ensure_future(send())
        while data := await reader.read(MEGABYTE):
            back += data
        await sending
        assert back == b"".join(pieces)
        writer.close()


@on_both_loops
async def test_one_way_may_end_long_before_the_other() -> None:
    async with passage(count_then_answer) as way:
        reader, writer = await client(way)
        writer.write(bytes(300_000))
        writer.write_eof()
        assert await reader.read(-1) == b"300000 bytes"
        writer.close()


@on_both_loops
async def test_a_backend_that_ends_first_can_still_be_written_to() -> None:
    came = bytearray()

    async def ends_then_listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.write_eof()
        while data := await reader.read(1000):
            came.extend(data)

    async with passage(ends_then_listens) as way:
        reader, writer = await client(way)
        assert await reader.read(-1) == b"bye"
        writer.write(b"are you there?")
        writer.close()
        await until(lambda: came == b"are you there?")


@on_both_loops
async def test_a_backend_that_breaks_off_breaks_the_client_too() -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"the first half of the ans")
        await reader.read(1)
        reset(writer)

    async with passage(break_off) as way:
        reader, writer = await client(way)
        assert await reader.readexactly(25) == b"the first half of the ans"
        writer.write(b"x")
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.transport.abort()


@on_both_loops
async def test_a_client_that_breaks_off_breaks_the_backend_too() -> None:
    ended: list[type[BaseException] | None] = []

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(-1)
            ended.append(None)
        except ConnectionError as error:
            ended.append(type(error))

    async with passage(listens) as way:
        _reader, writer = await client(way)
        writer.write(b"half a mess")
        await until(lambda: bool(way.joined) and way.splice.carried[0] == 11)
        reset(writer)
        await until(lambda: ended == [ConnectionResetError])


@on_both_loops
async def test_whoever_stops_the_gateway_breaks_both_sides() -> None:
    async with passage(saying(b"hello")) as way:
        reader, writer = await client(way)
        assert await reader.readexactly(5) == b"hello"
        way.traffic.abort()
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.transport.abort()


@on_both_loops
async def test_a_reader_that_does_not_keep_up_stops_its_own_way_only_and_costs_one_pipe() -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sending = asyncio.ensure_future(drained(writer, bytes(16 * MEGABYTE)))
        assert await reader.readexactly(5) == b"still"
        pings.append(True)
        await sending

    pings: list[bool] = []
    async with passage(pour) as way:
        reader, writer = await slow_client(way.port)
        await until(lambda: bool(way.joined) and way.splice.unsent > 0)
        writer.write(b"still")
        await until(lambda: bool(pings))
        assert 0 < way.traffic.unsent <= 512 * 1024
        total = 0
        while data := await reader.read(MEGABYTE):
            total += len(data)
        assert total == 16 * MEGABYTE
        writer.close()


@on_both_loops
async def test_of_too_many_slow_readers_the_first_one_is_reset() -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await drained(writer, bytes(16 * MEGABYTE))

    async with passage(pour, limits=Limits(stalled_bytes=1 << 20)) as way:
        clients = [await slow_client(way.port)]
        await until(lambda: sum(map(waits, way.joined)) == 1)
        clients += [await slow_client(way.port) for _ in range(2)]
        await until(lambda: way.traffic.admitted == 2)
        with pytest.raises(ConnectionResetError):
            while await clients[0][0].read(MEGABYTE):
                pass
        for _reader, writer in clients:
            writer.transport.abort()


@on_both_loops
async def test_without_descriptors_for_pipes_bytes_are_copied() -> None:
    async with passage(echo, pipes=NoPipes()) as way:
        await echoes(way, os.urandom(4 * MEGABYTE))


@on_both_loops
async def test_where_the_kernel_does_not_splice_bytes_are_copied() -> None:
    async with passage(echo, pipes=NoRealPipes()) as way:
        await echoes(way, os.urandom(4 * MEGABYTE))


@on_both_loops
async def test_a_connection_that_cannot_be_taken_over_is_pumped() -> None:
    async with passage(echo, first=b"before ", far=Undivided) as way:
        reader, writer = await client(way)
        writer.write(b"after")
        assert await reader.readexactly(12) == b"before after"
        assert isinstance(way.joined[-1], Pump)
        writer.close()


def test_pipes_are_lent_again_and_closed_at_the_end() -> None:
    pipes = Pipes()
    one, other = pipes.take(), pipes.take()
    assert {one.exit, one.entry} & {other.exit, other.entry} == set()
    pipes.give_back(one)
    assert pipes.take() is one
    pipes.give_back(one)
    pipes.give_back(other)
    pipes.close()
    for descriptor in (one.exit, one.entry, other.exit, other.entry):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def waits(joint: object) -> bool:
    return isinstance(joint, Splice) and joint.unsent > 0


async def echoes(way: Passage, message: bytes) -> None:
    reader, writer = await client(way)
    sending = asyncio.ensure_future(drained(writer, message))
    assert await reader.readexactly(len(message)) == message
    assert way.splice.carried == (len(message), len(message))
    await sending
    writer.close()
    await until(lambda: not way.traffic.admitted)


async def drained(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def slow_client(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client with next to no room of its own, which reads when it is told to."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (LOOPBACK, port))
    return await asyncio.open_connection(sock=sock, limit=1024)


def reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()
