"""Bytes from anybody: never an exception, never more than a bounded answer, never an answer to an answer."""

import struct
from ipaddress import ip_address

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mesh_dns.answer import OUR_PAYLOAD, Transport, respond
from mesh_dns.entry import Entry, Host, PortName, Target
from mesh_dns.question import LONGEST_QUERY
from mesh_dns.table import Table

NAMES = [
    ".",
    "clusterset.local.",
    "svc.clusterset.local.",
    "hello.demo.svc.clusterset.local.",
    "_http._tcp.hello.demo.svc.clusterset.local.",
    "_tcp.hello.demo.svc.clusterset.local.",
    "a.east.hello.demo.svc.clusterset.local.",
    "east.hello.demo.svc.clusterset.local.",
    "no.demo.svc.clusterset.local.",
    "dns-version.clusterset.local.",
    "hello.demo.svc.cluster.local.",
]
TYPES = ["A", "AAAA", "NS", "SOA", "TXT", "SRV", "ANY", "AXFR"]


def _table() -> Table:
    """The largest that the standard's CRD allows: two addresses of a family; and one endpoint."""
    table = Table()
    pair = (ip_address("fd00::1"), ip_address("fd00::2"))
    host = Target(Host("a", "east"), 80)
    entry = Entry(
        addresses=pair,
        hosts={Host("a", "east"): pair},
        ports={PortName("http", "tcp"): (host,)},
        targets=(host,),
    )
    table.put(entry, namespace="demo", service="hello")
    table.put_name_server(pair)
    table.complete = True
    return table


TABLE = _table()


def answered(packet: bytes, *, transport: Transport = Transport.UDP) -> bytes | None:
    return respond(packet, table=TABLE, transport=transport)


@st.composite
def queries(draw: st.DrawFn) -> bytes:
    query = dns.message.make_query(
        draw(st.sampled_from(NAMES)),
        draw(st.sampled_from(TYPES)),
        use_edns=draw(st.sampled_from([False, 0, 1])),
        payload=draw(st.integers(0, 65535)),
    )
    return query.to_wire()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good query with a few bytes changed, put in, or taken away."""
    packet = bytearray(draw(queries()))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(packet) - 1))
        match draw(st.integers(0, 3)):
            case 0:
                packet[at] = draw(st.integers(0, 255))
            case 1:
                packet[at:at] = draw(st.binary(min_size=1, max_size=4))
            case 2 if len(packet) > 1:
                del packet[at]
            case _:
                packet[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(packet)


def check(packet: bytes, reply: bytes | None) -> None:
    """What holds for every packet over UDP."""
    if reply is None:
        assert len(packet) < 12 or packet[2] & 0x80 or len(packet) > LONGEST_QUERY
        return
    assert len(reply) <= OUR_PAYLOAD
    assert len(reply) <= 3 * len(packet)
    assert reply[:2] == packet[:2]
    assert reply[2] & 0x80
    assert reply[2] & 0x78 == packet[2] & 0x78
    decoded = dns.message.from_wire(reply)
    for question in decoded.question:
        end = 12 + len(question.name.to_wire() or b"") + 4
        assert reply[12:end] == packet[12:end]
    assert answered(reply) is None, "an answer was answered"


@given(st.binary(max_size=1500))
def test_random_bytes_never_crash_the_answerer_and_never_pay_off(packet: bytes) -> None:
    check(packet, answered(packet))


@given(st.binary(max_size=300), st.integers(0, 3), st.integers(0, 5))
def test_random_bytes_behind_a_plausible_header_do_not_either(
    body: bytes, questions: int, additional: int
) -> None:
    packet = struct.pack("!HHHHHH", 7, 0x0100, questions, 0, 0, additional) + body
    check(packet, answered(packet))


@given(mutated())
def test_mutated_queries_get_a_decodable_answer_or_none(packet: bytes) -> None:
    check(packet, answered(packet))


@given(queries(), st.data())
def test_every_cut_off_query_is_malformed_or_silent(packet: bytes, data: st.DataObject) -> None:
    cut = packet[: data.draw(st.integers(0, len(packet) - 1))]
    reply = answered(cut)
    check(cut, reply)
    if reply is not None:
        assert reply[3] & 0xF == dns.rcode.FORMERR


@given(mutated())
def test_what_we_take_for_a_question_dnspython_takes_for_the_same_one(packet: bytes) -> None:
    reply = answered(packet)
    assume(reply is not None and reply[3] & 0xF not in (dns.rcode.FORMERR, dns.rcode.NOTIMP))
    try:
        theirs = dns.message.from_wire(packet, ignore_trailing=False)
    except dns.exception.DNSException:
        # It decodes the data of records and options that we only skip.
        assume(False)
        raise
    assert reply is not None
    assert dns.message.from_wire(reply).question == theirs.question


@given(st.lists(st.integers(1, 63), max_size=30))
def test_names_of_all_lengths_below_the_zone_are_denied_in_a_decodable_way(lengths: list[int]) -> None:
    name = b"".join(bytes((length,)) + b"q" * length for length in lengths)
    packet = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + name + b"\x0aclusterset\x05local\0\0\x01\0\x01"
    assume(len(name) + 18 <= 255)
    reply = answered(packet)
    assert reply is not None
    decoded = dns.message.from_wire(reply)
    assert decoded.rcode() == (dns.rcode.NXDOMAIN if lengths else dns.rcode.NOERROR)
    assert decoded.authority[0].name == dns.name.from_text("clusterset.local.")
    assert len(reply) <= 3 * len(packet)


@given(st.binary(max_size=LONGEST_QUERY + 10))
def test_over_tcp_the_answer_is_bounded_too(packet: bytes) -> None:
    reply = answered(packet, transport=Transport.TCP)
    assert reply is None or len(reply) <= 3 * len(packet)


@pytest.mark.parametrize("first", range(256))
def test_no_first_byte_of_a_name_is_followed_anywhere(first: int) -> None:
    packet = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + bytes((first,)) + b"\x0c" * 300
    check(packet, answered(packet))
