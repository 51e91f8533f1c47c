"""The real server on loopback, asked by dig and dnspython, on asyncio's loop and on uvloop."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import pytest
import uvloop

from mesh_dns.chaos import Facts, State
from mesh_dns.cookie import SEED_BYTES, Cookies
from mesh_dns.counts import Counts, Drop, Sent
from mesh_dns.entry import Entry
from mesh_dns.guard import Guard
from mesh_dns.question import LONGEST_QUERY
from mesh_dns.server import dns_server
from mesh_dns.sources import Sources
from mesh_dns.table import Table
from mesh_dns.tcp import MOST_CONNECTIONS
from mesh_runtime.binding import PortTaken

HELLO = "hello.demo.svc.clusterset.local."
LIMIT = 60.0
LOOPBACKS = ["127.0.0.1", *(["::1"] if socket.has_dualstack_ipv6() else [])]


@dataclass(frozen=True)
class Served:
    """A server under way, the table that it answers from, and what it counts."""

    port: int
    table: Table
    counts: Counts


def on_both_loops(story: Callable[[Served], Awaitable[None]]) -> Callable[..., None]:
    """A test that runs `story` beside a server, on asyncio's loop and on the one used in the pod."""

    async def beside_a_server() -> None:
        table = Table()
        put(table, "10.96.0.10")
        table.complete = True
        counts = Counts()
        async with dns_server(0, table=table, counts=counts) as server:
            await story(Served(server.port, table, counts))

    @pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
    def test(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(beside_a_server())

    return test


def put(table: Table, *texts: str) -> None:
    table.put(Entry(addresses=tuple(ip_address(text) for text in texts)), namespace="demo", service="hello")


def framed(packet: bytes) -> bytes:
    return struct.pack("!H", len(packet)) + packet


def query(name: str = HELLO, type_: str = "A") -> bytes:
    return dns.message.make_query(name, type_).to_wire()


async def read_framed(reader: asyncio.StreamReader) -> dns.message.Message:
    async with asyncio.timeout(LIMIT):
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        return dns.message.from_wire(await reader.readexactly(length))


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """What still comes before the server closes the connection, by FIN or by RST."""
    async with asyncio.timeout(LIMIT):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def dig(port: int, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "dig", "@127.0.0.1", "-p", str(port), "+time=10", "+tries=1", *words, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(LIMIT):
        out, _ = await process.communicate()
    return out.decode()


@on_both_loops
async def test_dig_gets_the_address_and_nothing_to_complain_about(served: Served) -> None:
    for transport in ("+notcp", "+tcp"):
        out = await dig(served.port, transport, "+norecurse", HELLO, "A")
        assert "status: NOERROR" in out
        assert "flags: qr aa;" in out
        assert f"{HELLO} 5 IN A 10.96.0.10" in " ".join(out.split())
        assert "EDNS: version: 0, flags:; udp: 1232" in out
        # What dig says of every name below .local; of the answer itself it has nothing to say.
        assert [line for line in out.splitlines() if "WARNING" in line] == [
            ";; WARNING: .local is reserved for Multicast DNS"
        ]


@on_both_loops
async def test_both_families_are_served_over_udp_and_tcp(served: Served) -> None:
    message = dns.message.make_query(HELLO, "A")
    for where in LOOPBACKS:
        for ask in (dns.asyncquery.udp, dns.asyncquery.tcp):
            reply = await ask(message, where, port=served.port, timeout=LIMIT)
            assert reply.answer[0].to_text() == f"{HELLO} 5 IN A 10.96.0.10"


@on_both_loops
async def test_what_udp_cuts_off_is_asked_again_over_tcp(served: Served) -> None:
    put(served.table, *(f"10.96.1.{last}" for last in range(1, 61)))
    message = dns.message.make_query(HELLO, "A", use_edns=False)
    over_udp = await dns.asyncquery.udp(message, "127.0.0.1", port=served.port, timeout=LIMIT)
    assert over_udp.flags & dns.flags.TC
    reply, over_tcp = await dns.asyncquery.udp_with_fallback(
        message, "127.0.0.1", port=served.port, timeout=LIMIT
    )
    assert over_tcp
    assert len(reply.answer[0]) == 60


@on_both_loops
async def test_while_the_table_changes_every_answer_is_an_old_one_or_a_new_one(served: Served) -> None:
    stop = asyncio.Event()
    table = served.table

    async def change() -> None:
        while not stop.is_set():
            put(table, "10.96.0.1", "10.96.0.2")
            await asyncio.sleep(0)
            put(table, "fd00::1")
            await asyncio.sleep(0)
            table.drop(namespace="demo", service="hello")
            await asyncio.sleep(0)

    seen = set()
    message = dns.message.make_query(HELLO, "A", id=0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(change())
        for ask in (dns.asyncquery.udp, dns.asyncquery.tcp) * 50:
            reply = await ask(message, "127.0.0.1", port=served.port, timeout=LIMIT)
            seen.add((reply.rcode(), tuple(str(one) for rrset in reply.answer for one in rrset)))
        stop.set()
    assert seen <= {
        (dns.rcode.NOERROR, ("10.96.0.10",)),
        (dns.rcode.NOERROR, ("10.96.0.1", "10.96.0.2")),
        (dns.rcode.NOERROR, ()),
        (dns.rcode.NXDOMAIN, ()),
    }


@on_both_loops
async def test_datagrams_of_any_kind_do_not_keep_the_next_question_from_its_answer(served: Served) -> None:
    too_long, an_answer = b"\0" * (LONGEST_QUERY + 1), b"\0\0\x80\0" + query()[4:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", served.port))
        for packet in (b"", b"\0", b"\xff" * 600, query()[:-1], too_long, an_answer):
            sock.send(packet)
    message = dns.message.make_query(HELLO, "A")
    reply = await dns.asyncquery.udp(message, "127.0.0.1", port=served.port, timeout=LIMIT)
    assert reply.rcode() == dns.rcode.NOERROR
    # Two are too short to be a query, one is too long, one is an answer; 600 bytes of ones are one as well.
    assert served.counts.drops[Drop.NO_QUERY] == 5


@on_both_loops
async def test_replies_are_counted_as_they_go_out(served: Served) -> None:
    message = dns.message.make_query(HELLO, "A")
    for _ in range(2):
        await dns.asyncquery.udp(message, "127.0.0.1", port=served.port, timeout=LIMIT)
    await dns.asyncquery.tcp(message, "127.0.0.1", port=served.port, timeout=LIMIT)
    assert list(served.counts.seen()) == [
        Sent("udp", "A", "NOERROR", False, 2),
        Sent("tcp", "A", "NOERROR", False, 1),
    ]


@on_both_loops
async def test_many_questions_on_one_connection_are_answered_in_their_order(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    names = [f"no-{number}.demo.svc.clusterset.local." for number in range(200)]
    writer.write(b"".join(framed(query(name)) for name in names))
    for name in names:
        reply = await read_framed(reader)
        assert reply.question[0].name.to_text() == name
        assert reply.rcode() == dns.rcode.NXDOMAIN
    writer.write(framed(query()))
    assert (await read_framed(reader)).rcode() == dns.rcode.NOERROR
    writer.close()


@on_both_loops
async def test_a_question_in_single_bytes_is_answered(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in framed(query()):
        writer.write(bytes((byte,)))
        await asyncio.sleep(0)
    assert (await read_framed(reader)).rcode() == dns.rcode.NOERROR
    writer.close()


@on_both_loops
async def test_whoever_closes_his_half_after_asking_still_gets_his_answer(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(framed(query()))
    writer.write_eof()
    assert (await read_framed(reader)).rcode() == dns.rcode.NOERROR
    assert await until_closed(reader) == b""
    writer.close()


@on_both_loops
async def test_a_connection_that_brings_no_query_is_closed_without_an_answer(served: Served) -> None:
    for brought in (
        struct.pack("!H", LONGEST_QUERY + 1),
        struct.pack("!H", 0),
        framed(b"\0" * 11),
        framed(b"\0\0\x80\0" + query()[4:]),
        b"GET / HTTP/1.1\r\nHost: dns\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(brought)
        assert await until_closed(reader) == b"", brought
        writer.close()


@on_both_loops
async def test_questions_before_what_is_no_query_are_answered_before_the_connection_ends(
    served: Served,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(framed(query()) + framed(query()) + framed(b"") + framed(query()))
    assert (await read_framed(reader)).rcode() == dns.rcode.NOERROR
    assert (await read_framed(reader)).rcode() == dns.rcode.NOERROR
    assert await until_closed(reader) == b""
    writer.close()


@on_both_loops
async def test_idle_connections_cannot_keep_a_new_one_out(served: Served) -> None:
    idle = []
    for _ in range(MOST_CONNECTIONS):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(framed(query()))
        await read_framed(reader)  # so that the server has it, in this order
        idle.append((reader, writer))
    busy_reader, busy_writer = idle[0]
    busy_writer.write(framed(query()))
    await read_framed(busy_reader)

    message = dns.message.make_query(HELLO, "A")
    reply = await dns.asyncquery.tcp(message, "127.0.0.1", port=served.port, timeout=LIMIT)
    assert reply.rcode() == dns.rcode.NOERROR
    quiet_longest, _ = idle[1]
    assert await until_closed(quiet_longest) == b""
    assert served.counts.crowded_out == 1
    busy_writer.write(framed(query()))
    assert (await read_framed(busy_reader)).rcode() == dns.rcode.NOERROR
    for _, writer in idle:
        writer.close()


@on_both_loops
async def test_after_its_end_a_servers_port_is_free_and_its_connections_are_closed(served: Served) -> None:
    async with dns_server(0, table=served.table) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(framed(query()))
        await read_framed(reader)
    assert await until_closed(reader) == b""
    writer.close()
    async with dns_server(server.port, table=served.table) as again:
        assert again.port == server.port


class Noted(Sources):
    """Everybody is of this cluster, or nobody; `seen` are the addresses that were asked about."""

    def __init__(self, *, is_local: bool) -> None:
        super().__init__()
        self._all_are = is_local
        self.seen: list[str] = []

    def is_local(self, address: str) -> bool:
        self.seen.append(address)
        return self._all_are


@on_both_loops
async def test_only_askers_of_this_cluster_are_given_ready_replies(served: Served) -> None:
    message = dns.message.make_query(HELLO, "A")
    for is_local, hits in ((True, 4), (False, 0)):
        counts, sources = Counts(), Noted(is_local=is_local)
        facts = partial(Facts, "dns-0", "1", heard_ago=None, names=0, state=State.COMPLETE)
        guard = Guard(sources, cookies=Cookies(bytes(SEED_BYTES)), facts=facts, epoch=0.0)
        async with dns_server(0, table=served.table, counts=counts, guard=guard) as server:
            for ask in (dns.asyncquery.udp, dns.asyncquery.tcp):
                for _ in range(3):
                    reply = await ask(message, LOOPBACKS[-1], port=server.port, timeout=LIMIT)
                    assert reply.rcode() == dns.rcode.NOERROR
        assert counts.memo_hits == hits
        assert sum(one.number for one in counts.seen()) == 6
        assert set(sources.seen) == {LOOPBACKS[-1]}


@on_both_loops
async def test_a_port_is_shared_by_those_only_who_want_to_share_it(served: Served) -> None:
    counts = Counts(), Counts()
    async with dns_server(0, table=served.table, counts=counts[0], reuse_port=True) as first:
        async with dns_server(first.port, table=served.table, counts=counts[1], reuse_port=True):
            message = dns.message.make_query(HELLO, "A")
            for ask in (dns.asyncquery.udp, dns.asyncquery.tcp):
                async with asyncio.timeout(LIMIT):
                    while not all(any(one.seen()) for one in counts):
                        await ask(message, LOOPBACKS[-1], port=first.port, timeout=LIMIT)
                for one in counts:
                    one.replies[:] = [0] * len(one.replies)
        with pytest.raises(PortTaken):
            async with dns_server(first.port, table=served.table):
                pass


@on_both_loops
async def test_a_port_that_is_taken_is_an_error_and_nothing_stays_open(served: Served) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", port))
        with pytest.raises(PortTaken):
            async with dns_server(port, table=served.table):
                pass
    async with dns_server(port, table=served.table) as server:
        assert server.port == port
