"""The limits of one DNS connection over TCP, on a transport that only remembers and a clock that jumps."""

import asyncio
import struct
from ipaddress import ip_address

import dns.message
import pytest

from mesh_dns.counts import Counts
from mesh_dns.entry import Entry
from mesh_dns.question import LONGEST_QUERY
from mesh_dns.table import Table
from mesh_dns.tcp import IDLE_LIMIT, Connections, TcpConnection

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

QUESTION = dns.message.make_query("hello.demo.svc.clusterset.local", "A").to_wire()
FRAMED = struct.pack("!H", len(QUESTION)) + QUESTION


class RememberingTransport(asyncio.Transport):
    """A peer whose reading we decide: what was written, and whether we are read from."""

    def __init__(self, *, peer: tuple[str, int] | None = ("192.0.2.7", 40000)) -> None:
        super().__init__(extra={"peername": peer})
        self.written = bytearray()
        self.reading = True
        self.aborted = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high is not None and high <= 64 * 1024

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


def connect(
    connections: Connections, transport: RememberingTransport | None = None
) -> tuple[TcpConnection, RememberingTransport]:
    transport, protocol = transport or RememberingTransport(), connections.protocol()
    protocol.connection_made(transport)
    return protocol, transport


def feed(connection: TcpConnection, data: bytes) -> None:
    """As the event loop does: never more than the connection has room for."""
    while data:
        room = connection.get_buffer(-1)
        assert len(room) > 0
        taken = min(len(room), len(data))
        room[:taken] = data[:taken]
        connection.buffer_updated(taken)
        data = data[taken:]


@pytest.fixture
def connections() -> Connections:
    table = Table()
    table.put(Entry(addresses=(ip_address("10.96.0.10"),)), namespace="demo", service="hello")
    table.complete = True
    return Connections(table=table, counts=Counts(), guard=None)


async def test_a_connection_without_a_question_ends_after_the_idle_limit(connections: Connections) -> None:
    _, transport = connect(connections)
    await asyncio.sleep(IDLE_LIMIT - 0.1)
    assert not transport.aborted
    await asyncio.sleep(0.2)
    assert transport.aborted
    assert len(connections) == 0


async def test_who_is_gone_before_we_look_is_not_read(connections: Connections) -> None:
    """uvloop still hands over what came before the reset, and nobody's address (it was a traceback each)."""
    protocol, transport = connect(connections, RememberingTransport(peer=None))
    assert transport.aborted
    feed(protocol, FRAMED)
    assert not transport.written
    assert len(connections) == 0
    protocol.connection_lost(None)
    await asyncio.sleep(2 * IDLE_LIMIT)
    assert len(connections) == 0


async def test_bytes_that_trickle_do_not_keep_a_connection_open(connections: Connections) -> None:
    protocol, transport = connect(connections)
    for at in range(11):
        feed(protocol, FRAMED[at : at + 1])
        await asyncio.sleep(IDLE_LIMIT / 10)
    assert transport.aborted


async def test_each_whole_question_keeps_a_connection_open(connections: Connections) -> None:
    protocol, transport = connect(connections)
    for _ in range(5):
        await asyncio.sleep(IDLE_LIMIT - 1)
        feed(protocol, FRAMED)
    assert not transport.aborted
    assert len(transport.written) > 5 * len(FRAMED)


async def test_who_does_not_read_is_not_read_from_and_ends_at_the_idle_limit(
    connections: Connections,
) -> None:
    protocol, transport = connect(connections)
    protocol.pause_writing()
    assert not transport.reading
    protocol.resume_writing()
    assert transport.reading
    protocol.pause_writing()
    await asyncio.sleep(IDLE_LIMIT + 0.1)
    assert transport.aborted


@pytest.mark.parametrize("piece", [1, 7, 46, 1000, LONGEST_QUERY])
async def test_questions_are_found_however_the_bytes_are_cut(connections: Connections, piece: int) -> None:
    protocol, transport = connect(connections)
    stream = FRAMED * 300
    for at in range(0, len(stream), piece):
        feed(protocol, stream[at : at + piece])
    single, reference = connect(connections)
    feed(single, FRAMED)
    assert bytes(transport.written) == bytes(reference.written) * 300


async def test_the_longest_message_fits_and_is_answered(connections: Connections) -> None:
    protocol, transport = connect(connections)
    longest = QUESTION.ljust(LONGEST_QUERY, b"\0")
    feed(protocol, struct.pack("!H", len(longest)) + longest + FRAMED)
    formerr, answer = bytes(transport.written[2:14]), bytes(transport.written[16:])
    assert formerr[3] & 0xF == 1
    assert dns.message.from_wire(answer).answer
    assert not transport.aborted


async def test_after_its_end_a_connection_does_nothing_more(connections: Connections) -> None:
    protocol, transport = connect(connections)
    protocol.connection_lost(None)
    await asyncio.sleep(2 * IDLE_LIMIT)
    assert not transport.aborted
    assert len(connections) == 0


class FullTransport(RememberingTransport):
    """A peer who takes nothing for now: what is written fills the buffer, as asyncio and uvloop count it."""

    def __init__(self) -> None:
        super().__init__()
        self.connection: TcpConnection | None = None
        self._high = 0
        self._full = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        super().set_write_buffer_limits(high, low)
        self._high = high or 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        if len(self.written) > self._high and not self._full and self.connection is not None:
            self._full = True
            self.connection.pause_writing()

    def take(self) -> bytes:
        """The peer reads everything that is written; with that, writing resumes."""
        taken, self.written = bytes(self.written), bytearray()
        if self._full and self.connection is not None:
            self._full = False
            self.connection.resume_writing()
        return taken


async def test_short_questions_with_long_answers_do_not_fill_the_memory() -> None:
    """Eighty questions fit where one long one does; each of these answers has about 3,000 bytes."""
    table = Table()
    many = tuple(ip_address(f"10.96.{one >> 8}.{one & 255}") for one in range(200))
    table.put(Entry(addresses=many), namespace="demo", service="hello")
    table.complete = True
    connections, transport = (
        Connections(table=table, counts=Counts(), guard=None),
        FullTransport(),
    )
    connection = transport.connection = connections.protocol()
    connection.connection_made(transport)
    count = LONGEST_QUERY // len(FRAMED)
    feed(connection, FRAMED * count)
    assert not transport.reading

    answers = b""
    while transport.written:
        assert len(transport.written) < 16 * 1024 + 3300
        answers += transport.take()
    assert transport.reading
    single, reference = connect(connections)
    feed(single, FRAMED)
    assert answers == bytes(reference.written) * count
