"""The real server with its guard, on loopback: what dig is told, and how much strangers get."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address

import dns.asyncquery
import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import pytest

from mesh_dns.chaos import Facts, State
from mesh_dns.cookie import SEED_BYTES, Cookies
from mesh_dns.counts import Counts, Drop
from mesh_dns.entry import Entry
from mesh_dns.guard import Guard
from mesh_dns.limit import ASK_BURST, LARGE_BURST
from mesh_dns.server import dns_server
from mesh_dns.sources import Sources
from mesh_dns.table import Table
from mesh_dns.tcp import MOST_OUTSIDE

pytestmark = pytest.mark.asyncio

HELLO = "hello.demo.svc.clusterset.local."
LIMIT = 60.0


class Strangers(Sources):
    """To whom even loopback is outside, since a test can ask from nowhere else."""

    def is_local(self, address: str) -> bool:
        return False

    def is_surely_local(self, address: str) -> bool:
        return False


class Somebody(Sources):
    """Who may be local or not, as a test says."""

    are_local = True

    def is_local(self, address: str) -> bool:
        return self.are_local


@asynccontextmanager
async def served(sources: Sources, counts: Counts | None = None) -> AsyncIterator[int]:
    table = Table()
    table.put(Entry(addresses=(ip_address("10.96.0.10"),)), namespace="demo", service="hello")
    table.complete = True
    facts = Facts("dns-0", "clusterset-mesh 1", heard_ago=1.0, names=1, state=State.COMPLETE)
    guard = Guard(sources, cookies=Cookies(bytes(SEED_BYTES)), facts=lambda: facts, epoch=1.7e9)
    async with dns_server(0, table=table, counts=counts, guard=guard) as server:
        yield server.port


async def dig(port: int, *words: str) -> str:
    """What dig prints about a question to the server."""
    async with asyncio.timeout(LIMIT):
        process = await asyncio.create_subprocess_exec(
            "dig", "@127.0.0.1", "-p", str(port), *words, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await process.communicate()
    return told.decode()


async def test_dig_finds_our_cookie_good_and_is_told_about_the_server() -> None:
    async with served(Sources()) as port:
        told = await dig(port, "+cookie", HELLO, "A")
        assert "10.96.0.10" in told and "(good)" in told
        for name, text in [("id.server", "dns-0"), ("state.mesh-dns", "complete")]:
            assert (await dig(port, "+short", "CH", "TXT", name)).strip() == f'"{text}"'
        assert "hello.demo.svc.clusterset.local." in await dig(port, "+short", "-x", "10.96.0.10")


async def test_a_stranger_over_udp_gets_large_answers_then_small_ones_and_all_of_it_is_counted() -> None:
    counts = Counts()
    async with served(Strangers(), counts) as port:
        query = dns.message.make_query(HELLO, "A")
        replies = [
            await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=LIMIT) for _ in range(LARGE_BURST)
        ]
        assert all(reply.answer for reply in replies)
        cut = await until_cut(port, query)
        assert not cut.answer
        assert counts.limited >= 1
        with_tcp = await dns.asyncquery.tcp(query, "127.0.0.1", port=port, timeout=LIMIT)
        assert with_tcp.answer
        refused = dns.message.make_query("id.server.", "TXT", rdclass=dns.rdataclass.CH)
        reply = await dns.asyncquery.tcp(refused, "127.0.0.1", port=port, timeout=LIMIT)
        assert reply.rcode() == dns.rcode.REFUSED


async def until_cut(port: int, query: dns.message.Message) -> dns.message.Message:
    """The first answer that is cut off; the limit gives back some while we ask."""
    async with asyncio.timeout(LIMIT):
        while True:
            reply = await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=LIMIT)
            if reply.flags & dns.flags.TC:
                return reply


async def test_what_a_stranger_asks_without_end_ends_in_silence_and_over_tcp_his_connection() -> None:
    counts = Counts()
    packet = dns.message.make_query(HELLO, "A").to_wire()
    async with served(Strangers(), counts) as port, asyncio.timeout(LIMIT):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))
            while not counts.drops[Drop.LIMITED]:
                sock.send(packet)
                await asyncio.sleep(0)
        before = counts.drops[Drop.LIMITED]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write((struct.pack("!H", len(packet)) + packet) * ASK_BURST)
                await writer.drain()
                await reader.read(1 << 20)
        writer.close()
        assert counts.drops[Drop.LIMITED] > before
        assert counts.drops[Drop.NO_QUERY] == 0


async def test_connections_of_strangers_cannot_push_out_our_own() -> None:
    sources = Somebody()
    async with served(sources) as port, asyncio.timeout(LIMIT):
        ours, our_writer = await asyncio.open_connection("127.0.0.1", port)
        packet = dns.message.make_query(HELLO, "A").to_wire()
        our_writer.write(struct.pack("!H", len(packet)) + packet)
        (length,) = struct.unpack("!H", await ours.readexactly(2))
        await ours.readexactly(length)
        sources.are_local = False
        others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_OUTSIDE + 1)]
        assert await others[0][0].read() == b"", "the quietest stranger made room for the last one"
        sources.are_local = True
        our_writer.write(struct.pack("!H", len(packet)) + packet)
        (length,) = struct.unpack("!H", await ours.readexactly(2))
        assert dns.message.from_wire(await ours.readexactly(length)).answer
        for _, writer in [(ours, our_writer), *others]:
            writer.close()
