"""Replies are counted by what their own bytes say."""

from ipaddress import ip_address

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_dns.answer import Transport, respond
from mesh_dns.counts import RCODES, TRANSPORTS, TYPES, Counts, Drop, Sent, place_of
from mesh_dns.entry import Entry
from mesh_dns.table import Table

HELLO = "hello.demo.svc.clusterset.local."


def table() -> Table:
    table = Table()
    addresses = tuple(ip_address(f"10.0.{last // 250}.{last % 250}") for last in range(200))
    table.put(Entry(addresses=addresses[:1]), namespace="demo", service="hello")
    table.put(Entry(addresses=addresses), namespace="demo", service="many")
    table.complete = True
    return table


def counted(packet: bytes, *, transport: Transport = Transport.UDP, ready: bool = True) -> list[Sent]:
    answers = table()
    answers.complete = ready
    reply = respond(packet, table=answers, transport=transport)
    assert reply is not None
    counts = Counts()
    counts.sent(reply, over_tcp=transport is Transport.TCP)
    return list(counts.seen())


def query(name: str = HELLO, type_: str = "A", *, edns: int | bool = False) -> bytes:
    return dns.message.make_query(name, type_, use_edns=edns).to_wire()


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (query(), ("A", "NOERROR", False)),
        (query(edns=0), ("A", "NOERROR", False)),
        (query(type_="AAAA", edns=0), ("AAAA", "NOERROR", False)),
        (query("no." + HELLO, "SRV", edns=0), ("SRV", "NXDOMAIN", False)),
        (query("example.org.", "HTTPS", edns=0), ("HTTPS", "REFUSED", False)),
        (query(type_="ANY"), ("ANY", "NOERROR", False)),
        (query(type_="DS"), ("other", "NOERROR", False)),
        (query(type_="CAA"), ("other", "NOERROR", False)),
        (query(edns=1), ("A", "BADVERS", False)),
        (query("many.demo.svc.clusterset.local."), ("A", "NOERROR", True)),
        (query("many.demo.svc.clusterset.local.", edns=0), ("A", "NOERROR", True)),
        (query()[:-1], ("none", "FORMERR", False)),
        (b"\0\0\x10" + query()[3:], ("none", "NOTIMP", False)),
    ],
)
def test_a_reply_is_counted_by_type_code_and_whether_it_is_cut_off(
    packet: bytes, expected: tuple[str, str, bool]
) -> None:
    assert counted(packet) == [Sent("udp", *expected, 1)]


def test_what_cannot_be_answered_yet_is_counted_so() -> None:
    assert counted(query(), ready=False) == [Sent("udp", "A", "SERVFAIL", False, 1)]


def test_what_comes_over_tcp_is_counted_apart() -> None:
    found = counted(query("many.demo.svc.clusterset.local."), transport=Transport.TCP)
    assert found == [Sent("tcp", "A", "NOERROR", False, 1)]


@given(
    st.integers(0, 65535),
    st.integers(0, 0xFFF),
    st.booleans(),
    st.booleans(),
    st.lists(st.binary(min_size=1, max_size=63), max_size=3),
)
def test_every_reply_has_a_place_of_its_own_kind(
    type_: int, rcode: int, over_tcp: bool, cut: bool, labels: list[bytes]
) -> None:
    """Whatever the type and code are; those of no list are `other`."""
    message = dns.message.Message()
    message.flags |= dns.flags.QR | (dns.flags.TC if cut else 0)
    message.question = [
        dns.message.make_query(
            dns.name.Name([*labels, b""]), dns.rdatatype.from_text(f"TYPE{type_}")
        ).question[0]
    ]
    message.use_edns(0)
    message.set_rcode(dns.rcode.Rcode(rcode))
    counts = Counts()
    counts.sent(message.to_wire(), over_tcp=over_tcp)
    (found,) = counts.seen()
    named, code = (
        dns.rdatatype.to_text(dns.rdatatype.from_text(f"TYPE{type_}")),
        dns.rcode.to_text(dns.rcode.Rcode(rcode)),
    )
    assert found == Sent(
        TRANSPORTS[over_tcp],
        named if named in TYPES else "other",
        code if code in RCODES else "other",
        cut,
        1,
    )


def test_a_reply_without_a_question_is_counted_by_its_whole_code_too() -> None:
    """BADCOOKIE for who asked for nothing but a cookie: 23, of which the header holds 7."""
    message = dns.message.Message()
    message.flags |= dns.flags.QR
    message.use_edns(0)
    message.set_rcode(dns.rcode.BADCOOKIE)
    counts = Counts()
    counts.sent(message.to_wire(), over_tcp=False)
    assert list(counts.seen()) == [Sent("udp", "none", "BADCOOKIE", False, 1)]


def test_a_reply_that_lay_ready_is_counted_as_a_reply_too() -> None:
    reply = respond(query(), table=table(), transport=Transport.UDP)
    assert reply is not None
    counts = Counts()
    counts.sent_from_memo(place_of(reply, over_tcp=False))
    counts.sent(reply, over_tcp=False)
    assert list(counts.seen()) == [Sent("udp", "A", "NOERROR", False, 2)]
    assert counts.memo_hits == 1


def test_what_gets_no_reply_is_counted_by_why() -> None:
    counts = Counts()
    counts.dropped(Drop.UNSENT)
    assert [counts.drops[why] for why in Drop] == [0, 0, 1]
    assert list(counts.seen()) == []
