"""Bytes through a pair of gateways, on real sockets and real TLS: whole, both ways, and bounded."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from mesh_fakes.backends import Conversation, backend, count_then_answer, echo, saying
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import LOOPBACK, PATIENT, Ingress, Outlet, both_ways, egress, ingress
from mesh_fakes.waiting import until
from mesh_gateway.limits import WINDOW, Limits
from mesh_gateway.stream import LARGEST_READ, TLS_HIGH_MARK

MIB = 1 << 20
# Windows of tunnels stay as they begin, so that what may wait is known.
NARROW = replace(PATIENT, largest_window=WINDOW)


@asynccontextmanager
async def pair(talk: Conversation, *, limits: Limits = PATIENT) -> AsyncIterator[tuple[Outlet, Ingress]]:
    """A program that has `talk` in one cluster, and a way to it from another."""
    clusterset = FakeClusterset()
    async with (
        backend(talk) as there,
        ingress(clusterset, "east", endpoints=(there,), limits=limits) as far,
        egress(clusterset, {"east": (far.address,)}, limits=limits) as near,
    ):
        yield near, far


@asynccontextmanager
async def client(near: Outlet) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(LOOPBACK, near.port)
    try:
        yield reader, writer
    finally:
        writer.close()


def nothing_left(near: Outlet, far: Ingress) -> bool:
    return near.traffic.admitted == 0 and far.traffic.admitted == 0 and not far.traffic.open_streams


@both_ways
async def test_bytes_come_back_as_they_went() -> None:
    async with pair(echo) as (near, far):
        async with client(near) as (reader, writer):
            sent = os.urandom(3 * MIB + 17)
            writer.write(sent)
            assert await reader.readexactly(len(sent)) == sent
            assert far.traffic.admitted == 1
        await until(lambda: nothing_left(near, far))


@both_ways
async def test_a_client_that_ends_its_way_still_reads_the_answer() -> None:
    async with pair(count_then_answer) as (near, far):
        async with client(near) as (reader, writer):
            writer.write(bytes(MIB))
            writer.write_eof()
            assert await reader.read() == b"%d bytes" % MIB
        await until(lambda: nothing_left(near, far))


@both_ways
async def test_a_server_that_ends_its_way_still_reads_the_rest() -> None:
    got = asyncio.get_running_loop().create_future()

    async def ends_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"that is all")
        writer.write_eof()
        got.set_result(await reader.read())

    async with pair(ends_first) as (near, far):
        async with client(near) as (reader, writer):
            # Much is on its way while the end arrives: close_notify must not break what comes behind it.
            writer.write(bytes(8 * MIB))
            assert await reader.read() == b"that is all"
            writer.write(b"but not from me")
            writer.write_eof()
            assert await got == bytes(8 * MIB) + b"but not from me"
        await until(lambda: nothing_left(near, far))


@both_ways
async def test_a_server_that_speaks_first_is_heard() -> None:
    async with pair(saying(b"220 ready\r\n")) as (near, _far):
        async with client(near) as (reader, writer):
            assert await reader.readline() == b"220 ready\r\n"
            writer.write_eof()
            assert await reader.read() == b""


@both_ways
async def test_a_reset_by_the_client_resets_the_server() -> None:
    ended = asyncio.get_running_loop().create_future()

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x")
        try:
            ended.set_result(await reader.read())
        except ConnectionResetError as error:
            ended.set_result(error)

    async with pair(listens) as (near, far):
        reader, writer = await asyncio.open_connection(LOOPBACK, near.port)
        assert await reader.readexactly(1) == b"x"
        reset(writer)
        assert isinstance(await ended, ConnectionResetError)
        await until(lambda: nothing_left(near, far))


@both_ways
async def test_a_reset_by_the_server_resets_the_client_and_looks_like_no_end() -> None:
    async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        reset(writer)

    async with pair(breaks_off) as (near, far):
        async with client(near) as (reader, writer):
            writer.write(b"x")
            try:
                ended: object = await reader.read()
            except ConnectionResetError as error:
                ended = error
            assert isinstance(ended, ConnectionResetError)
        await until(lambda: nothing_left(near, far))


@both_ways
async def test_a_slow_reader_stops_the_sender_and_memory_stays_bounded() -> None:
    reading = asyncio.Event()

    async def reads_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio gives a full transport
        await reading.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]  # the same
        await count_then_answer(reader, writer)

    async with pair(reads_later, limits=NARROW) as (near, far):
        sender = socket.create_connection((LOOPBACK, near.port))
        sender.setblocking(False)
        loop = asyncio.get_running_loop()
        offered = 256 * MIB
        taken = await sent_until_stuck(sender, most=offered)
        # Four kernel buffers of at most 10 MiB lie on the way, and two gateways with one buffer a way.
        assert taken < 64 * MIB
        for traffic in (near.traffic, far.traffic):
            assert traffic.unsent <= TLS_HIGH_MARK + 2 * LARGEST_READ
        reading.set()
        await loop.sock_sendall(sender, bytes(MIB))
        sender.shutdown(socket.SHUT_WR)
        assert await loop.sock_recv(sender, 100) == b"%d bytes" % (taken + MIB)
        sender.close()
        await until(lambda: nothing_left(near, far))


@both_ways
async def test_a_slow_client_stops_the_server() -> None:
    written = 0

    async def pours(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        while True:
            writer.write(bytes(LARGEST_READ))
            await writer.drain()
            written += LARGEST_READ

    async with pair(pours, limits=NARROW) as (near, far):
        idle = socket.create_connection((LOOPBACK, near.port))
        await settled(lambda: written)
        assert 0 < written < 64 * MIB
        assert near.traffic.unsent + far.traffic.unsent <= 2 * (TLS_HIGH_MARK + 2 * LARGEST_READ)
        idle.close()
        await until(lambda: nothing_left(near, far))


@both_ways
async def test_one_stalled_stream_does_not_stop_another() -> None:
    async with pair(echo) as (near, far):
        stalled = socket.create_connection((LOOPBACK, near.port))
        stalled.setblocking(False)
        await sent_until_stuck(stalled, most=256 * MIB)
        async with client(near) as (reader, writer):
            writer.write(b"still there?")
            assert await reader.readexactly(12) == b"still there?"
        stalled.close()
        await until(lambda: nothing_left(near, far))


@both_ways
async def test_when_too_many_readers_do_not_keep_up_the_first_of_them_is_reset() -> None:
    async with pair(echo, limits=replace(PATIENT, stalled_bytes=2 * MIB)) as (near, far):
        senders = []
        for _ in range(8):
            sender = socket.create_connection((LOOPBACK, near.port))
            sender.setblocking(False)
            await sent_until_stuck(sender, most=256 * MIB)
            senders.append(sender)
        assert await is_reset(senders[0])
        assert 0 < near.traffic.admitted < len(senders)
        for sender in senders:
            sender.close()
        await until(lambda: nothing_left(near, far))


@both_ways
async def test_two_hundred_streams_are_carried_at_a_time() -> None:
    async def talk(near: Outlet, number: int) -> None:
        async with client(near) as (reader, writer):
            line = b"stream %d\n" % number
            for _ in range(5):
                writer.write(line)
                assert await reader.readexactly(len(line)) == line
            everybody.append(number)
            await all_there.wait()
            writer.write_eof()
            assert await reader.read() == b""

    everybody: list[int] = []
    all_there = asyncio.Event()
    async with pair(echo) as (near, far):
        async with asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(talk(near, number))
            await until(lambda: len(everybody) == 200, limit=90)
            assert far.traffic.admitted == near.traffic.admitted == 200
            all_there.set()
        await until(lambda: nothing_left(near, far))


@both_ways
async def test_a_client_that_leaves_while_its_stream_is_opened_leaves_nothing_behind() -> None:
    async with pair(echo) as (near, far):
        for _ in range(20):
            _reader, writer = await asyncio.open_connection(LOOPBACK, near.port)
            reset(writer)
        await until(lambda: nothing_left(near, far))


@both_ways
async def test_a_new_table_leaves_established_streams_alone() -> None:
    async with pair(echo) as (near, far):
        async with client(near) as (reader, writer):
            writer.write(b"before")
            assert await reader.readexactly(6) == b"before"
            far.route()
            near.table = replace(near.table, egress={})
            writer.write(b"behind")
            assert await reader.readexactly(6) == b"behind"
            late_reader, late_writer = await asyncio.open_connection(LOOPBACK, near.port)
            assert await answer_of(late_reader) == b""
            late_writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Closes a connection with RST, as a program that was killed does with unread bytes."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    """All that comes; nothing when the connection is reset."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def sent_until_stuck(sender: socket.socket, *, most: int) -> int:
    """Sends until nobody takes any more for half a second; the number of bytes that were taken."""
    sent = 0
    chunk = bytes(LARGEST_READ)

    def send() -> int:
        nonlocal sent
        try:
            while sent < most:
                sent += sender.send(chunk)
        except (BlockingIOError, ConnectionError):
            pass
        return sent

    return await settled(send)


async def is_reset(sender: socket.socket) -> bool:
    """Whether a connection from which nothing was read ends with a reset."""
    try:
        while await asyncio.get_running_loop().sock_recv(sender, MIB):
            pass
    except ConnectionResetError:
        return True
    return False


async def settled(figure: Callable[[], int]) -> int:
    """What `figure` says when it has not changed for half a second."""
    clock = asyncio.get_running_loop().time
    last, since = figure(), clock()
    while clock() - since < 0.5:
        await asyncio.sleep(0.01)
        if (now := figure()) != last:
            last, since = now, clock()
    return last
