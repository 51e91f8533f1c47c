"""Replies that lie ready are those that would be made now, and take a bounded part of the memory."""

import struct
from ipaddress import ip_address
from weakref import ref

import dns.edns
import dns.message
import pytest

from mesh_dns.answer import Transport, respond
from mesh_dns.entry import Entry
from mesh_dns.hot import HALF, LARGEST, Memo
from mesh_dns.table import Node, Table

ZONE = "clusterset.local."
HELLO = f"hello.demo.svc.{ZONE}"


@pytest.fixture
def table() -> Table:
    table = Table()
    put(table, "hello", "10.96.0.10")
    put(table, "three", "10.96.0.11", "10.96.0.12", "10.96.0.13")
    table.complete = True
    return table


@pytest.fixture
def memo(table: Table) -> Memo:
    return Memo(table, transport=Transport.UDP)


def put(table: Table, service: str, *texts: str) -> None:
    entry = Entry(addresses=tuple(ip_address(text) for text in texts))
    table.put(entry, namespace="demo", service=service)


def query(name: str = HELLO, type_: str = "A", *, query_id: int = 7, edns: bool = False) -> bytes:
    message = dns.message.make_query(name, type_, use_edns=0 if edns else -1, id=query_id)
    return message.to_wire()


def ask(memo: Memo, table: Table, packet: bytes, *, transport: Transport = Transport.UDP) -> bytes:
    """The reply as a socket would send it: the ready one, else one that is made and kept."""
    ready = memo.find(packet)
    if ready is not None:
        return ready.reply(packet)
    reply = respond(packet, table=table, transport=transport)
    assert reply is not None
    memo.keep(packet, reply)
    return reply


def must(node: Node | None) -> Node:
    assert node is not None
    return node


def addresses(reply: bytes) -> list[str]:
    return [str(one) for rrset in dns.message.from_wire(reply).answer for one in rrset]


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        (HELLO, "A"),
        (HELLO, "AAAA"),
        (HELLO, "ANY"),
        (HELLO, "AXFR"),
        (f"three.demo.svc.{ZONE}", "A"),
        (f"none.demo.svc.{ZONE}", "A"),
        (ZONE, "SOA"),
        (f"dns-version.{ZONE}", "TXT"),
    ],
)
@pytest.mark.parametrize("edns", [True, False])
@pytest.mark.parametrize("transport", list(Transport))
def test_a_ready_reply_is_the_one_that_would_be_made(
    table: Table, name: str, type_: str, edns: bool, transport: Transport
) -> None:
    memo = Memo(table, transport=transport)
    ask(memo, table, query(name, type_, edns=edns), transport=transport)
    for query_id in (0, 1, 2, 3, 7, 65535):
        packet = query(name, type_, edns=edns, query_id=query_id)
        ready = memo.find(packet)
        assert ready is not None
        assert ready.reply(packet) == respond(packet, table=table, transport=transport)


def test_all_orders_of_the_records_lie_ready(memo: Memo, table: Table) -> None:
    name = f"three.demo.svc.{ZONE}"
    ask(memo, table, query(name))
    said = [ask(memo, table, query(name, query_id=number)) for number in range(6)]
    assert {addresses(one)[0] for one in said} == {"10.96.0.11", "10.96.0.12", "10.96.0.13"}
    assert [addresses(one) for one in said[:3]] == [addresses(one) for one in said[3:]]


def test_every_spelling_finds_what_lies_ready_and_gets_its_own_back(memo: Memo, table: Table) -> None:
    ask(memo, table, query(HELLO))
    for spelling in (HELLO.upper(), f"hElLo.dEmO.sVc.{ZONE}"):
        packet = query(spelling)
        ready = memo.find(packet)
        assert ready is not None
        assert ready.reply(packet) == respond(packet, table=table, transport=Transport.UDP)


def test_types_that_look_like_spellings_of_each_other_are_not_taken_for_each_other(
    memo: Memo, table: Table
) -> None:
    for first, second in (("TYPE65", "TYPE97"), ("TYPE97", "TYPE65")):
        ask(memo, table, query(type_=first))
        packet = query(type_=second)
        assert memo.find(packet) is None
        assert ask(memo, table, packet) == respond(packet, table=table, transport=Transport.UDP)


def test_a_change_of_a_name_is_seen_by_the_next_query_and_costs_no_other_name(
    memo: Memo, table: Table
) -> None:
    three = query(f"three.demo.svc.{ZONE}")
    for packet in (query(), three):
        ask(memo, table, packet)
    put(table, "hello", "10.96.0.99")
    assert memo.find(query()) is None
    assert addresses(ask(memo, table, query())) == ["10.96.0.99"]
    assert memo.find(query()) is not None
    assert memo.find(three) is not None


def test_a_name_that_goes_or_comes_is_seen_by_the_next_query(memo: Memo, table: Table) -> None:
    absent = query(f"new.demo.svc.{ZONE}")
    ask(memo, table, query())
    ask(memo, table, absent)
    assert memo.find(absent) is not None
    put(table, "new", "10.96.0.50")
    table.drop(namespace="demo", service="hello")
    assert addresses(ask(memo, table, absent)) == ["10.96.0.50"]
    assert dns.message.from_wire(ask(memo, table, query())).rcode() == dns.rcode.NXDOMAIN


def test_what_a_name_said_before_goes_although_replies_of_it_are_still_kept(memo: Memo, table: Table) -> None:
    """A node may hold a thousand names' worth of records, and the memo bounds only the bytes of replies."""
    name = b"\5hello\4demo\3svc\x0aclusterset\5local\0"
    ask(memo, table, query())
    before = ref(must(table.node(name)))
    assert memo.find(query()) is not None
    put(table, "hello", "10.96.0.99")
    assert before() is None
    assert memo.find(query()) is None
    table.drop(namespace="demo", service="hello")
    assert memo.find(query()) is None


def test_nothing_is_ready_until_the_table_is_complete(memo: Memo, table: Table) -> None:
    table.complete = False
    ask(memo, table, query())
    table.complete = True
    assert memo.find(query()) is None
    ask(memo, table, query())
    table.complete = False
    assert memo.find(query()) is None


def with_option(option: dns.edns.Option) -> bytes:
    return dns.message.make_query(HELLO, "A", use_edns=0, options=[option]).to_wire()


@pytest.mark.parametrize(
    "packet",
    [
        with_option(dns.edns.GenericOption(dns.edns.OptionType.COOKIE, bytes(8))),
        with_option(dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")),
        dns.message.make_query("version.bind.", "TXT", "CH").to_wire(),
        dns.message.make_query(HELLO, "A", "CH").to_wire(),
        query("example.com."),
        query("10.0.96.10.in-addr.arpa.", "PTR"),
        query("xclusterset.local."),
        struct.pack("!HBBHHHH", 1, 0, 0, 2, 0, 0, 0),
        struct.pack("!HBBHHHH", 1, 0x28, 0, 1, 0, 0, 0),
    ],
    ids=lambda packet: packet[12:40].hex(),
)
def test_what_may_be_said_otherwise_to_others_or_later_is_not_kept(
    memo: Memo, table: Table, packet: bytes
) -> None:
    ask(memo, table, packet)
    assert memo.find(packet) is None


def test_what_is_too_short_or_no_query_has_no_ready_reply(memo: Memo, table: Table) -> None:
    ask(memo, table, query())
    for packet in (b"", b"\0", b"\0\7", query()[:12], query()[:-1], query() + b"\0"):
        assert memo.find(packet) is None


def test_a_reply_with_many_large_variants_is_not_kept(table: Table) -> None:
    memo = Memo(table, transport=Transport.TCP)
    put(table, "many", *(f"10.96.1.{one}" for one in range(40)))
    packet = query(f"many.demo.svc.{ZONE}")
    assert 40 * len(ask(memo, table, packet, transport=Transport.TCP)) > LARGEST
    assert memo.find(packet) is None


def test_names_asked_for_once_do_not_push_out_one_that_is_asked_for_again(memo: Memo, table: Table) -> None:
    ask(memo, table, query())
    rounds = 3 * HALF // 700
    for number in range(rounds):
        ask(memo, table, query(f"n{number}.none.svc.{ZONE}"))
        if number % 1000 == 0:
            assert memo.find(query()) is not None
    assert memo.find(query(f"n{rounds - 1}.none.svc.{ZONE}")) is not None
    assert memo.find(query(f"n0.none.svc.{ZONE}")) is None


@pytest.mark.parametrize("count", [101, 200])
def test_a_reply_that_is_cut_off_lies_ready_once_whatever_the_number_of_records(
    memo: Memo, table: Table, count: int
) -> None:
    put(table, "many", *(f"10.96.1.{number}" for number in range(count)))
    ask(memo, table, query(f"many.demo.svc.{ZONE}"))
    for query_id in (0, 1, 65535):
        packet = query(f"many.demo.svc.{ZONE}", query_id=query_id)
        ready = memo.find(packet)
        assert ready is not None and len(ready.bodies) == 1
        assert ready.reply(packet) == respond(packet, table=table, transport=Transport.UDP)
