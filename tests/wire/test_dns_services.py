"""Headless imports and SRV on the wire: asked and decoded by dnspython, and once more by dnslib."""

from collections.abc import Iterable
from ipaddress import ip_address

import dns.message
import dns.rcode
import dns.rdatatype
import dnslib
import pytest
from dns.rdtypes.ANY.SOA import SOA
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.names import LABEL_SERVICE_NAME, LABEL_SOURCE_CLUSTER
from mesh_core.objects import (
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    ImportPort,
    ImportSpec,
    Meta,
    ServiceImport,
)
from mesh_dns.answer import OUR_PAYLOAD, Transport, respond
from mesh_dns.endpoints import headless_entry
from mesh_dns.entry import Entry
from mesh_dns.imports import clusterset_ip_entry
from mesh_dns.table import Table
from mesh_dns.wire import MOST_RECORDS

ZONE = "clusterset.local."
WEB, DB = f"web.demo.svc.{ZONE}", f"db.demo.svc.{ZONE}"
NXDOMAIN, NODATA = ["NXDOMAIN"], ["NODATA"]


def piece(
    *endpoints: tuple[str | None, str], cluster: str, ports: Iterable[EndpointPort] = ()
) -> EndpointSlice:
    labels = {LABEL_SERVICE_NAME: "db", LABEL_SOURCE_CLUSTER: cluster}
    return EndpointSlice(
        metadata=Meta(namespace="demo", labels=labels),
        endpoints=tuple(Endpoint(addresses=(address,), hostname=host) for host, address in endpoints),
        ports=tuple(ports),
    )


def put_db(table: Table, *slices: EndpointSlice) -> None:
    entry = headless_entry(slices, namespace="demo", service="db")
    assert entry is not None
    table.put(entry, namespace="demo", service="db")


def web_entry() -> Entry:
    ports = (
        ImportPort(name="http", port=80),
        ImportPort(name="quic", port=80, protocol="UDP"),
        ImportPort(name="sip", port=5060, protocol="SCTP"),
        ImportPort(port=9999),
    )
    spec = ImportSpec(ports=ports, ips=("10.96.0.10", "fd00::10"))
    web = ServiceImport(metadata=Meta(namespace="demo", name="web"), spec=spec)
    return clusterset_ip_entry(web)


@pytest.fixture
def table() -> Table:
    table = Table()
    table.put(web_entry(), namespace="demo", service="web")
    both = (
        EndpointPort(name="sql", port=5432),
        EndpointPort(name="sql", port=5432, protocol="UDP"),
    )
    put_db(
        table,
        piece(("db-0", "10.0.0.10"), ("db-1", "10.0.0.11"), cluster="east", ports=both),
        piece(("db-0", "fd00::10"), ("db-1", "fd00::11"), cluster="east", ports=both),
        piece((None, "10.1.0.10"), cluster="west", ports=[EndpointPort(name="sql", port=15432)]),
    )
    table.complete = True
    return table


def asked(table: Table, name: str, type_: str, *, transport: Transport = Transport.TCP) -> list[str]:
    """The data of the answer's records, in order; dnspython and dnslib must read the same."""
    # The id turns the order of the answer; this one does not.
    packet = dns.message.make_query(name, type_, use_edns=0, id=0).to_wire()
    reply = respond(packet, table=table, transport=transport)
    assert reply is not None
    theirs = dns.message.from_wire(reply)
    data = [str(one) for rrset in theirs.answer for one in rrset]
    second = dnslib.DNSRecord.parse(reply)
    assert [str(one.rdata) for one in second.rr] == data
    assert all(str(one.rname) == name for one in second.rr)
    if theirs.rcode() != dns.rcode.NOERROR:
        return [dns.rcode.to_text(theirs.rcode())]
    return data or NODATA


EAST0, EAST1, WEST = f"db-0.east.{DB}", f"db-1.east.{DB}", f"10-1-0-10.west.{DB}"

ANSWERS = [
    # ClusterSetIP: one record for each named port, and at the bare name for each port number.
    (f"_http._tcp.{WEB}", "SRV", [f"0 100 80 {WEB}"]),
    (f"_quic._udp.{WEB}", "SRV", [f"0 100 80 {WEB}"]),
    (f"_sip._sctp.{WEB}", "SRV", [f"0 100 5060 {WEB}"]),
    (WEB, "SRV", [f"0 100 80 {WEB}", f"0 100 5060 {WEB}"]),
    (WEB, "ANY", ["10.96.0.10"]),
    (f"_http._tcp.{WEB}", "ANY", [f"0 100 80 {WEB}"]),
    (f"_http._tcp.{WEB}", "A", NODATA),
    (f"_tcp.{WEB}", "SRV", NODATA),
    (f"_udp.{WEB}", "A", NODATA),
    (f"_http._udp.{WEB}", "SRV", NXDOMAIN),
    (f"_other._tcp.{WEB}", "SRV", NXDOMAIN),
    (f"http._tcp.{WEB}", "SRV", NXDOMAIN),
    (f"_http.tcp.{WEB}", "SRV", NXDOMAIN),
    (f"x._http._tcp.{WEB}", "SRV", NXDOMAIN),
    (f"east.{WEB}", "A", NXDOMAIN),
    (f"web-0.east.{WEB}", "A", NXDOMAIN),
    # Headless.
    (DB, "A", ["10.0.0.10", "10.1.0.10", "10.0.0.11"]),
    (DB, "AAAA", ["fd00::10", "fd00::11"]),
    (EAST0, "A", ["10.0.0.10"]),
    (EAST0, "AAAA", ["fd00::10"]),
    (WEST, "A", ["10.1.0.10"]),
    (WEST, "AAAA", NODATA),
    (WEST, "SRV", NODATA),
    (f"_sql._tcp.{DB}", "SRV", [f"0 100 5432 {EAST0}", f"0 100 15432 {WEST}", f"0 100 5432 {EAST1}"]),
    (f"_sql._udp.{DB}", "SRV", [f"0 100 5432 {EAST0}", f"0 100 5432 {EAST1}"]),
    (DB, "SRV", [f"0 100 5432 {EAST0}", f"0 100 15432 {WEST}", f"0 100 5432 {EAST1}"]),
    (DB, "TXT", NODATA),
    (f"_tcp.{DB}", "SRV", NODATA),
    (f"_sctp.{DB}", "SRV", NXDOMAIN),
    (f"db-0.west.{DB}", "A", NXDOMAIN),
    (f"10-1-0-10.east.{DB}", "A", NXDOMAIN),
    (f"_sql._tcp.{EAST0}", "SRV", NXDOMAIN),
    (f"x.{EAST0}", "A", NXDOMAIN),
]


@pytest.mark.parametrize("ttl", [0, 30, 3600])
@pytest.mark.parametrize(
    ("name", "type_"),
    [
        (WEB, "A"),
        (WEB, "AAAA"),
        (WEB, "SRV"),
        (WEB, "TXT"),
        (f"no.demo.svc.{ZONE}", "A"),
        (ZONE, "SOA"),
        (ZONE, "NS"),
        (f"dns-version.{ZONE}", "TXT"),
        (f"ns.dns.{ZONE}", "A"),
    ],
)
def test_all_that_the_zone_says_may_be_kept_for_its_ttl(ttl: int, name: str, type_: str) -> None:
    table = Table(ttl=ttl)
    table.put(web_entry(), namespace="demo", service="web")
    table.put_name_server([ip_address("10.96.0.53")])
    table.complete = True
    reply = respond(dns.message.make_query(name, type_).to_wire(), table=table, transport=Transport.UDP)
    assert reply is not None
    theirs = dns.message.from_wire(reply)
    assert {rrset.ttl for section in (theirs.answer, theirs.authority) for rrset in section} == {ttl}
    soas = [one for rrset in theirs.authority for one in rrset]
    assert all(isinstance(one, SOA) and one.minimum == ttl for one in soas)


@pytest.mark.parametrize(("name", "type_", "answer"), ANSWERS)
def test_a_question_gets_its_answer(table: Table, name: str, type_: str, answer: list[str]) -> None:
    assert asked(table, name, type_) == answer


@pytest.mark.parametrize("cluster", ["east", "west", "EAST"])
@pytest.mark.parametrize("type_", ["A", "AAAA", "SRV", "TXT", "ANY"])
def test_the_reserved_name_of_a_cluster_does_not_exist_though_names_below_it_do(
    table: Table, cluster: str, type_: str
) -> None:
    assert asked(table, f"{cluster}.{DB}", type_) == NXDOMAIN
    assert asked(table, EAST0, "A") == ["10.0.0.10"]


def test_the_names_of_endpoints_are_found_in_every_spelling(table: Table) -> None:
    assert asked(table, f"DB-0.EaSt.{DB}", "A") == ["10.0.0.10"]
    assert asked(table, f"_SQL._Udp.{DB}", "SRV") == [f"0 100 5432 {EAST0}", f"0 100 5432 {EAST1}"]


def test_the_target_of_a_service_record_is_not_compressed(table: Table) -> None:
    packet = dns.message.make_query(f"_http._tcp.{WEB}", "SRV", use_edns=False).to_wire()
    reply = respond(packet, table=table, transport=Transport.UDP)
    assert reply is not None and reply.endswith(b"\x03web\x04demo\x03svc\x0aclusterset\x05local\0")


def test_names_of_endpoints_that_are_gone_are_gone_too(table: Table) -> None:
    put_db(table, piece(("db-1", "10.0.0.12"), cluster="east"))
    assert asked(table, EAST0, "A") == asked(table, WEST, "A") == NXDOMAIN
    assert asked(table, f"_sql._tcp.{DB}", "SRV") == asked(table, f"_tcp.{DB}", "A") == NXDOMAIN
    assert asked(table, EAST1, "A") == asked(table, DB, "A") == ["10.0.0.12"]
    assert asked(table, EAST1, "AAAA") == asked(table, DB, "SRV") == NODATA
    table.drop(namespace="demo", service="db")
    assert asked(table, EAST1, "A") == asked(table, DB, "A") == NXDOMAIN
    assert asked(table, WEB, "A") == ["10.96.0.10"]


@pytest.mark.parametrize("family", ["10.0.{}.{}", "fd00::{:x}:{:x}"])
def test_the_longest_answers_fit_into_a_message_over_tcp(family: str) -> None:
    """The most records, each with the longest names and hundreds of ports that share them."""
    table = Table()
    namespace, service, cluster = "n" * 63, "s" * 63, "c" * 63
    hosts = [(f"{one:0>40}", family.format(one >> 8, one & 255)) for one in range(MOST_RECORDS + 50)]
    ports = [EndpointPort(name=f"{one:0>62}", port=one) for one in range(1, 40)]
    entry = headless_entry(
        [piece(*hosts, cluster=cluster, ports=ports)], namespace=namespace, service=service
    )
    assert entry is not None
    table.put(entry, namespace=namespace, service=service)
    table.complete = True
    name = f"{service}.{namespace}.svc.{ZONE}"
    for asked_name in (name, f"_{1:0>62}._tcp.{name}"):
        answer = asked(table, asked_name, "SRV")
        assert len(answer) == MOST_RECORDS
        assert max(map(len, answer)) > 253
    assert len(asked(table, name, "AAAA" if ":" in family else "A")) == MOST_RECORDS
    packet = dns.message.make_query(name, "SRV", use_edns=0, payload=65535, id=0).to_wire()
    reply = respond(packet, table=table, transport=Transport.UDP)
    assert reply is not None and len(reply) <= OUR_PAYLOAD
    assert dns.message.from_wire(reply).flags & dns.flags.TC


# Mostly what a peer means well by, and mixed in what it should not send.
_labels = st.sampled_from(
    ["a", "b-1", "10-0-0-1", "_tcp", "A", "a.b", "", "-", "ü", "\n", "x" * 63, "x" * 64]
)
_addresses = st.sampled_from(
    ["10.0.0.1", "10.0.0.2", "fd00::1", "FD00::2", "::", "", "x", "fe80::1%e", "1.2.3"]
)
_ports = st.builds(
    EndpointPort,
    name=_labels | st.none(),
    protocol=st.sampled_from(["TCP", "UDP", "SCTP", "tcp", "", "ü"]),
    port=st.none() | st.integers(-1, 70000),
)
_endpoints = st.builds(
    Endpoint,
    addresses=st.lists(_addresses, max_size=3).map(tuple),
    hostname=st.none() | _labels | st.text(max_size=70),
    conditions=st.builds(EndpointConditions, ready=st.sampled_from([None, True, False])),
)


@st.composite
def slices(draw: st.DrawFn) -> EndpointSlice:
    cluster = draw(st.sampled_from(["east", "west"]) | _labels | st.text(max_size=5))
    return EndpointSlice(
        metadata=Meta(namespace="demo", labels={LABEL_SERVICE_NAME: "db", LABEL_SOURCE_CLUSTER: cluster}),
        endpoints=draw(st.none() | st.lists(_endpoints, max_size=5).map(tuple)),
        ports=draw(st.none() | st.lists(_ports, max_size=4).map(tuple)),
    )


def ready_addresses(found: list[EndpointSlice]) -> set[str]:
    every = (one for each in found for one in each.endpoints or () if one.conditions.ready is not False)
    return {text.lower() for one in every for text in one.addresses}


@given(st.lists(slices(), max_size=5))
def test_whatever_slices_come_answers_decode_and_hold_only_ready_endpoints(
    found: list[EndpointSlice],
) -> None:
    table = Table()
    table.put(Entry(addresses=(ip_address("10.96.0.1"),)), namespace="demo", service="web")
    entry = headless_entry(found, namespace="demo", service="db")
    if entry is not None:
        table.put(entry, namespace="demo", service="db")
    table.complete = True
    ready = ready_addresses(found)

    def addresses(name: str) -> set[str]:
        return {one for type_ in ("A", "AAAA") for one in asked(table, name, type_)} - {"NODATA"}

    served = addresses(DB)
    assert served == {"NXDOMAIN"} if entry is None else served and served <= ready
    for name in [DB, *(f"_{one.name}._{one.protocol}.{DB}" for one in (entry.ports if entry else ()))]:
        for record in asked(table, name, "SRV"):
            if record not in ("NODATA", "NXDOMAIN"):
                target = record.split()[3]
                assert target.count(".") == DB.count(".") + 2
                assert addresses(target) <= served
    for cluster in ("east", "west", "a"):
        assert asked(table, f"{cluster}.{DB}", "A") == NXDOMAIN
    assert asked(table, WEB, "A") == ["10.96.0.1"]
    table.drop(namespace="demo", service="db")
    assert addresses(DB) == {"NXDOMAIN"}
