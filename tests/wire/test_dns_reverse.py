"""The names of addresses (PTR): asked and decoded by dnspython, and once more by dnslib."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.reversename
import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_dns.answer import Transport, respond
from mesh_dns.entry import Entry, Host
from mesh_dns.hot import Memo
from mesh_dns.reverse import MOST_NAMES, Reverse, address_of, reverse_name
from mesh_dns.table import ZONE as ZONE_ON_WIRE
from mesh_dns.table import Table

ZONE = "clusterset.local."
WEB, DB = f"web.demo.svc.{ZONE}", f"db.demo.svc.{ZONE}"


def put(
    table: Table, service: str, *texts: str, hosts: Sequence[tuple[str, str, Sequence[str]]] = ()
) -> None:
    named = {Host(label, cluster): tuple(map(ip_address, own)) for label, cluster, own in hosts}
    entry = Entry(addresses=tuple(ip_address(text) for text in texts), hosts=named)
    table.put(entry, namespace="demo", service=service)


@pytest.fixture
def table() -> Table:
    table = Table()
    put(table, "web", "10.96.0.10", "fd00::10")
    hosts = [("db-0", "east", ["10.0.0.10", "fd00::a"]), ("10-1-0-10", "west", ["10.1.0.10"])]
    put(table, "db", "10.0.0.10", "10.1.0.10", "fd00::a", hosts=hosts)
    table.put_name_server((ip_address("10.96.0.53"),))
    table.complete = True
    return table


def asked(table: Table, name: str, type_: str = "PTR", *, query_id: int | None = None) -> list[str]:
    """The names in the answer, or the kind of denial; dnspython and dnslib must read the same."""
    query = dns.message.make_query(name, type_, use_edns=0, id=query_id)
    reply = respond(query.to_wire(), table=table, transport=Transport.UDP)
    assert reply is not None
    theirs = dns.message.from_wire(reply)
    assert query.is_response(theirs)
    if theirs.rcode() != dns.rcode.NOERROR:
        return [dns.rcode.to_text(theirs.rcode())]
    assert theirs.flags & dns.flags.AA
    assert not theirs.authority, "a zone that is not ours has no SOA of ours"
    found = [str(one) for rrset in theirs.answer for one in rrset]
    assert [str(one.rdata) for one in dnslib.DNSRecord.parse(reply).rr] == found
    assert all(rrset.rdtype == dns.rdatatype.PTR for rrset in theirs.answer)
    return found


def names(table: Table, text: str) -> list[str]:
    return asked(table, dns.reversename.from_address(text).to_text())


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.96.0.10", [WEB]),
        ("fd00::10", [WEB]),
        ("10.0.0.10", [f"db-0.east.{DB}"]),
        ("fd00::a", [f"db-0.east.{DB}"]),
        ("10.1.0.10", [f"10-1-0-10.west.{DB}"]),
        ("10.96.0.53", [f"ns.dns.{ZONE}"]),
    ],
)
def test_an_address_that_the_zone_gives_out_has_its_name(
    table: Table, address: str, expected: list[str]
) -> None:
    assert names(table, address) == expected


@pytest.mark.parametrize(
    "name",
    [
        "11.0.96.10.in-addr.arpa.",
        "0.96.10.in-addr.arpa.",
        "x.10.0.96.10.in-addr.arpa.",
        "010.0.96.10.in-addr.arpa.",
        "in-addr.arpa.",
        "ip6.arpa.",
        "arpa.",
        "1.0.0.127.in-addr.arpa.",
        "10.0.96.10.clusterset.local.in-addr.arpa.",
    ],
)
def test_all_else_below_arpa_is_refused(table: Table, name: str) -> None:
    assert asked(table, name) == ["REFUSED"]


def test_another_type_of_an_address_that_is_there_is_nothing_and_any_is_its_names(table: Table) -> None:
    assert asked(table, "10.0.96.10.in-addr.arpa.", "A") == []
    assert asked(table, "10.0.96.10.in-addr.arpa.", "TXT") == []
    assert asked(table, "10.0.96.10.in-addr.arpa.", "ANY") == [WEB]
    assert asked(table, "10.0.96.10.IN-ADDR.Arpa.") == [WEB]


def test_until_the_table_is_complete_no_name_is_told(table: Table) -> None:
    table.complete = False
    assert names(table, "10.96.0.10") == ["SERVFAIL"]


def test_an_address_keeps_the_names_of_others_when_a_service_changes_or_goes(table: Table) -> None:
    put(table, "web2", "10.96.0.10")
    assert names(table, "10.96.0.10") == [WEB, f"web2.demo.svc.{ZONE}"]
    put(table, "web", "10.96.0.11")
    assert names(table, "10.96.0.10") == [f"web2.demo.svc.{ZONE}"]
    assert names(table, "10.96.0.11") == [WEB]
    assert names(table, "fd00::10") == ["REFUSED"]
    table.drop(namespace="demo", service="web2")
    assert names(table, "10.96.0.10") == ["REFUSED"]
    table.drop(namespace="demo", service="db")
    assert names(table, "10.0.0.10") == names(table, "fd00::a") == ["REFUSED"]
    put(table, "web", "10.96.0.11", "10.96.0.12")
    assert names(table, "10.96.0.11") == names(table, "10.96.0.12") == [WEB]
    table.put_name_server(())
    assert names(table, "10.96.0.53") == ["REFUSED"]


def test_of_many_names_an_address_tells_a_few_always_the_same_and_in_one_order(table: Table) -> None:
    services = [f"s{number:02}" for number in range(30)]
    for service in reversed(services):
        put(table, service, "10.96.1.1")
    expected = [f"{service}.demo.svc.{ZONE}" for service in services[:MOST_NAMES]]
    for query_id in (0, 1, 4711):
        assert asked(table, "1.1.96.10.in-addr.arpa.", query_id=query_id) == expected
    table.drop(namespace="demo", service="s00")
    assert names(table, "10.96.1.1")[0] == f"s01.demo.svc.{ZONE}"


class Compared(bytes):
    """A name that counts how often one is compared with another."""

    times = 0

    def __lt__(self, other: bytes) -> bool:
        Compared.times += 1
        return bytes.__lt__(self, other)

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return bytes.__eq__(self, other)

    __hash__ = bytes.__hash__


def test_ten_thousand_names_of_one_address_are_not_compared_with_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Looking through those that are there, for each, took 40 seconds: a peer may give all one address."""
    monkeypatch.setattr(Compared, "times", 0)
    reverse, one = Reverse(), ip_address("10.9.9.9")
    names = [Compared(b"\7n%06d\0" % (number * 7919 % 10_000)) for number in range(10_000)]
    for name in names:
        reverse.add([one], name=name)
    assert reverse.names_of(one) == sorted(map(bytes, names))[:MOST_NAMES]
    for name in names[1:]:
        reverse.remove([one], name=name)
    assert reverse.names_of(one) == names[:1]
    assert Compared.times < 20_000 * 20


def test_names_of_addresses_never_lie_ready_so_a_change_is_told_at_once(table: Table) -> None:
    memo = Memo(table, transport=Transport.UDP)
    query = dns.message.make_query("10.0.96.10.in-addr.arpa.", "PTR").to_wire()
    reply = respond(query, table=table, transport=Transport.UDP)
    assert reply is not None
    memo.keep(query, reply)
    assert memo.find(query) is None


def test_what_a_change_leaves_alone_stays_the_same_object(table: Table) -> None:
    kept = b"\x04db-0\x04east\x02db\x04demo\x03svc" + ZONE_ON_WIRE
    before, service = table.node(kept), table.node(kept[10:])
    hosts = [("db-0", "east", ["10.0.0.10", "fd00::a"]), ("db-1", "west", ["10.1.0.11"])]
    put(table, "db", "10.0.0.10", "10.1.0.11", "fd00::a", hosts=hosts)
    assert before is not None and table.node(kept) is before
    assert service is not None and table.node(kept[10:]) is not service
    assert names(table, "10.0.0.10") == [f"db-0.east.{DB}"]
    assert names(table, "10.1.0.11") == [f"db-1.west.{DB}"]
    assert names(table, "10.1.0.10") == ["REFUSED"]


@given(st.ip_addresses())
def test_the_name_of_every_address_is_spelled_as_others_spell_it(
    address: IPv4Address | IPv6Address,
) -> None:
    # dnspython's own function takes IPv6 addresses that stand for IPv4 ones for these.
    name = reverse_name(address)
    assert name == dns.name.from_text(f"{address.reverse_pointer}.").to_wire()
    assert address_of(name) == address


@given(st.binary(max_size=80), st.sampled_from([b"\x07in-addr\x04arpa\0", b"\x03ip6\x04arpa\0"]))
def test_no_other_name_is_taken_for_that_of_an_address(head: bytes, zone: bytes) -> None:
    address = address_of(head + zone)
    assert address is None or reverse_name(address) == head + zone
