"""Questions and their answers, encoded and decoded by dnspython."""

from dataclasses import dataclass, field
from ipaddress import ip_address

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest

from mesh_dns.answer import OUR_PAYLOAD, Transport, respond
from mesh_dns.entry import Entry
from mesh_dns.table import Table

ZONE = "clusterset.local."
SOA = f"{ZONE} 5 IN SOA ns.dns.{ZONE} hostmaster.{ZONE} 1 7200 1800 86400 5"
NOT_TURNED = 0  # the id of a query that gets records in the order in which the table has them
NS = f"{ZONE} 5 IN NS ns.dns.{ZONE}"
HELLO = f"hello.demo.svc.{ZONE}"


@pytest.fixture
def table() -> Table:
    table = Table()
    table.put(
        Entry(addresses=(ip_address("10.96.0.10"), ip_address("fd00::10"))), namespace="demo", service="hello"
    )
    table.put(
        Entry(addresses=(ip_address("10.96.0.12"), ip_address("10.96.0.11"))),
        namespace="demo",
        service="four",
    )
    table.put(Entry(addresses=(ip_address("fd00::11"),)), namespace="demo", service="six")
    table.put(Entry(addresses=()), namespace="demo", service="soon")
    table.put_name_server((ip_address("10.96.0.53"),))
    table.complete = True
    return table


def ask(
    table: Table, query: dns.message.Message, *, transport: Transport = Transport.UDP
) -> dns.message.Message:
    reply = respond(query.to_wire(), table=table, transport=transport)
    assert reply is not None
    return dns.message.from_wire(reply)


def lines(section: list[dns.rrset.RRset]) -> list[str]:
    return [line for rrset in section for line in rrset.to_text().splitlines()]


@dataclass(frozen=True)
class Expected:
    name: str
    type: str
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
    answer: list[str] = field(default_factory=list)
    authority: list[str] = field(default_factory=list)
    aa: bool = True

    def __str__(self) -> str:
        return f"{self.type} {self.name}"


def exists(name: str, type_: str, *answer: str) -> Expected:
    return Expected(name, type_, answer=list(answer))


def nodata(name: str, type_: str) -> Expected:
    return Expected(name, type_, authority=[SOA])


def nxdomain(name: str, type_: str = "A") -> Expected:
    return Expected(name, type_, rcode=dns.rcode.NXDOMAIN, authority=[SOA])


def refused(name: str, type_: str = "A") -> Expected:
    return Expected(name, type_, rcode=dns.rcode.REFUSED, aa=False)


ANSWERS = [
    exists(HELLO, "A", f"{HELLO} 5 IN A 10.96.0.10"),
    exists(HELLO, "AAAA", f"{HELLO} 5 IN AAAA fd00::10"),
    exists(f"four.demo.svc.{ZONE}", "A", f"four.demo.svc.{ZONE} 5 IN A 10.96.0.12",
           f"four.demo.svc.{ZONE} 5 IN A 10.96.0.11"),
    nodata(f"four.demo.svc.{ZONE}", "AAAA"),
    nodata(f"six.demo.svc.{ZONE}", "A"),
    exists(f"six.demo.svc.{ZONE}", "AAAA", f"six.demo.svc.{ZONE} 5 IN AAAA fd00::11"),
    nodata(f"soon.demo.svc.{ZONE}", "A"),
    nodata(f"soon.demo.svc.{ZONE}", "AAAA"),
    # Other types of an existing name.
    *(nodata(HELLO, type_) for type_ in ("TXT", "MX", "CNAME", "SOA", "NS", "PTR", "HTTPS")),
    *(nodata(HELLO, type_) for type_ in ("TYPE0", "TYPE65280")),
    # Nodes that hold no name of a service.
    exists(ZONE, "SOA", SOA),
    exists(ZONE, "NS", NS),
    *(nodata(ZONE, type_) for type_ in ("A", "AAAA", "TXT", "DS", "DNSKEY")),
    *(nodata(f"svc.{ZONE}", type_) for type_ in ("A", "SOA", "NS")),
    *(nodata(f"demo.svc.{ZONE}", type_) for type_ in ("A", "SOA", "NS")),
    exists(f"dns-version.{ZONE}", "TXT", f'dns-version.{ZONE} 5 IN TXT "1.0.0"'),
    nodata(f"dns-version.{ZONE}", "A"),
    exists(f"ns.dns.{ZONE}", "A", f"ns.dns.{ZONE} 5 IN A 10.96.0.53"),
    nodata(f"ns.dns.{ZONE}", "AAAA"),
    nodata(f"dns.{ZONE}", "A"),
    # ANY is answered with one record set (RFC 8482).
    exists(HELLO, "ANY", f"{HELLO} 5 IN A 10.96.0.10"),
    exists(f"six.demo.svc.{ZONE}", "ANY", f"six.demo.svc.{ZONE} 5 IN AAAA fd00::11"),
    exists(ZONE, "ANY", SOA),
    nodata(f"soon.demo.svc.{ZONE}", "ANY"),
    nodata(f"svc.{ZONE}", "ANY"),
    # What must not exist, above all a cluster id below a service (ruling 25: the standard reserves it).
    nxdomain(f"east.hello.demo.svc.{ZONE}"),
    nxdomain(f"hello-0.east.hello.demo.svc.{ZONE}"),
    nxdomain(f"_http._tcp.hello.demo.svc.{ZONE}", "SRV"),
    nxdomain(f"other.demo.svc.{ZONE}"),
    nxdomain(f"other.demo.svc.{ZONE}", "AAAA"),
    nxdomain(f"other.demo.svc.{ZONE}", "TXT"),
    nxdomain(f"other.demo.svc.{ZONE}", "ANY"),
    nxdomain(f"hello.other.svc.{ZONE}"),
    nxdomain(f"other.svc.{ZONE}"),
    nxdomain(f"hello.demo.{ZONE}"),
    nxdomain(f"hello.demo.pod.{ZONE}"),
    nxdomain(f"hello.demo.svc.{ZONE}"[:-1].replace(".", r"\.") + f".{ZONE}"),
    nxdomain(f"x.dns-version.{ZONE}", "TXT"),
    nxdomain(f"{'x' * 63}.{'y' * 63}.{'z' * 63}.{'v' * 43}.{ZONE}"),
    # Outside the zone.
    refused("."),
    refused(".", "NS"),
    refused("local."),
    refused("clusterset."),
    refused("example.com."),
    refused("hello.demo.svc.cluster.local."),
    refused("xclusterset.local."),
    refused("clusterset.local.example."),
    # The zone's bytes inside one label are not the zone.
    refused(r"\010clusterset\005local."),
    refused(r"x.\010clusterset\005local."),
    # Not offered.
    *(refused(ZONE, type_) for type_ in ("AXFR", "IXFR", "TYPE41")),
    *(refused(ZONE, type_) for type_ in ("TYPE249", "TYPE250", "TYPE253", "TYPE254")),
]  # fmt: skip


@pytest.mark.parametrize("use_edns", [False, 0], ids=["plain", "edns"])
@pytest.mark.parametrize("expected", ANSWERS, ids=str)
def test_a_question_gets_its_answer(table: Table, expected: Expected, use_edns: bool | int) -> None:
    query = dns.message.make_query(expected.name, expected.type, use_edns=use_edns, id=NOT_TURNED)
    reply = ask(table, query)
    assert query.is_response(reply)
    assert reply.rcode() == expected.rcode
    assert lines(reply.answer) == expected.answer
    assert lines(reply.authority) == expected.authority
    assert bool(reply.flags & dns.flags.AA) is expected.aa
    assert not reply.flags & (dns.flags.TC | dns.flags.RA | dns.flags.AD | dns.flags.CD)
    assert reply.edns == (-1 if use_edns is False else 0)
    assert reply.additional == []


def test_the_case_of_the_question_is_given_back_and_does_not_matter(table: Table) -> None:
    spelled = "hElLo.DEMO.svc.clUSTERset.Local."
    packet = dns.message.make_query(spelled, "A").to_wire()
    reply = respond(packet, table=table, transport=Transport.UDP)
    assert reply is not None and reply[12 : len(packet)] == packet[12:]
    assert dns.message.from_wire(reply).answer[0].name.to_text() == spelled


def test_the_case_of_an_unknown_name_is_given_back_too(table: Table) -> None:
    reply = ask(table, dns.message.make_query("nO.svc.CLUSTERSET.local.", "A"))
    assert reply.question[0].name.to_text() == "nO.svc.CLUSTERSET.local."
    assert reply.authority[0].name.to_text() == "CLUSTERSET.local."


@pytest.mark.parametrize("flags", [0, dns.flags.RD, dns.flags.RD | dns.flags.AD | dns.flags.CD])
def test_of_the_flags_only_rd_comes_back(table: Table, flags: int) -> None:
    query = dns.message.make_query(HELLO, "A", flags=flags)
    assert ask(table, query).flags == dns.flags.QR | dns.flags.AA | (flags & dns.flags.RD)


@pytest.mark.parametrize("class_", ["CH", "HS", "NONE", "ANY"])
def test_classes_other_than_internet_are_refused(table: Table, class_: str) -> None:
    query = dns.message.make_query(HELLO, "A", rdclass=dns.rdataclass.from_text(class_))
    reply = ask(table, query)
    assert (reply.rcode(), reply.answer) == (dns.rcode.REFUSED, [])


@pytest.mark.parametrize("name", [HELLO, ZONE, f"other.demo.svc.{ZONE}", f"dns-version.{ZONE}"])
def test_until_the_table_is_complete_nothing_of_the_zone_is_said(table: Table, name: str) -> None:
    table.complete = False
    reply = ask(table, dns.message.make_query(name, "A", use_edns=0))
    assert reply.rcode() == dns.rcode.SERVFAIL
    assert not reply.flags & dns.flags.AA
    assert (reply.answer, reply.authority) == ([], [])
    assert ask(table, dns.message.make_query("example.com", "A")).rcode() == dns.rcode.REFUSED


def test_our_opt_record_states_our_own_size_and_gives_do_back(table: Table) -> None:
    cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
    query = dns.message.make_query(HELLO, "A", use_edns=0, want_dnssec=True, payload=4096, options=[cookie])
    reply = ask(table, query)
    assert (reply.edns, reply.payload, reply.options) == (0, OUR_PAYLOAD, ())
    assert reply.ednsflags == dns.flags.DO


def test_a_later_edns_version_is_told_which_one_we_speak(table: Table) -> None:
    reply = ask(table, dns.message.make_query(HELLO, "A", use_edns=1))
    assert (reply.rcode(), reply.edns, reply.answer) == (dns.rcode.BADVERS, 0, [])


@pytest.mark.parametrize(
    ("opcode", "rcode"), [(dns.opcode.STATUS, dns.rcode.NOTIMP), (dns.opcode.NOTIFY, dns.rcode.NOTIMP)]
)
def test_another_opcode_gets_a_bare_header_back(
    table: Table, opcode: dns.opcode.Opcode, rcode: dns.rcode.Rcode
) -> None:
    query = dns.message.make_query(HELLO, "A")
    query.set_opcode(opcode)
    reply = respond(query.to_wire(), table=table, transport=Transport.UDP)
    assert reply is not None and len(reply) == 12
    decoded = dns.message.from_wire(reply)
    assert (decoded.id, decoded.opcode(), decoded.rcode()) == (query.id, opcode, rcode)


class TestTruncation:
    """A reply that the asker cannot take is cut off whole."""

    @pytest.fixture
    def table(self) -> Table:
        table = Table()
        many = tuple(ip_address(f"10.0.0.{last}") for last in range(1, 41))
        table.put(Entry(addresses=many), namespace="demo", service="hello")
        table.complete = True
        return table

    def test_without_edns_more_than_512_bytes_are_cut_off(self, table: Table) -> None:
        reply = ask(table, dns.message.make_query(HELLO, "A", use_edns=False))
        assert reply.flags & dns.flags.TC
        assert (reply.rcode(), reply.answer, reply.authority) == (dns.rcode.NOERROR, [], [])

    @pytest.mark.parametrize(
        ("payload", "cut"), [(0, True), (512, True), (699, True), (700, False), (1232, False), (65535, False)]
    )
    def test_with_edns_the_asker_says_how_much_he_takes(self, table: Table, payload: int, cut: bool) -> None:
        # 12 header, 33 name, 4 type and class, 40 records of 16, 11 OPT: 700 bytes.
        query = dns.message.make_query(HELLO, "A", use_edns=0, payload=payload)
        reply = ask(table, query)
        assert bool(reply.flags & dns.flags.TC) is cut
        assert reply.edns == 0

    def test_we_send_at_most_our_own_size_whatever_the_asker_takes(self, table: Table) -> None:
        many = tuple(ip_address(f"fd00::{last}") for last in range(1, 51))
        table.put(Entry(addresses=many), namespace="demo", service="hello")
        query = dns.message.make_query(HELLO, "AAAA", use_edns=0, payload=65535)
        assert ask(table, query).flags & dns.flags.TC

    def test_tcp_carries_it_whole(self, table: Table) -> None:
        query = dns.message.make_query(HELLO, "A", use_edns=False)
        reply = ask(table, query, transport=Transport.TCP)
        assert not reply.flags & dns.flags.TC
        assert len(reply.answer[0]) == 40
