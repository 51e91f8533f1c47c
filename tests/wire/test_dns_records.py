"""Each clause of the DNS specification, asked and decoded by dnspython; ids are those of `test_dns_clauses`.

The zone is made of ServiceImports and EndpointSlices as the API server has them, not of entries.
"""

from collections.abc import Iterable
from ipaddress import ip_address

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import pytest

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
from mesh_dns.imports import clusterset_ip_entry
from mesh_dns.table import Table

ZONE = "clusterset.local."
WEB, DUAL, SOON = f"web.demo.svc.{ZONE}", f"dual.demo.svc.{ZONE}", f"soon.demo.svc.{ZONE}"
DB, BARE, MANY = f"db.demo.svc.{ZONE}", f"bare.demo.svc.{ZONE}", f"many.demo.svc.{ZONE}"
EAST0, EAST1 = f"db-0.east.{DB}", f"db-1.east.{DB}"
WEST4, WEST6, WEST0 = f"10-1-0-10.west.{DB}", f"fd00--10.west.{DB}", f"fd00-1--0.west.{DB}"
NOT_TURNED = 0


def put_import(table: Table, service: str, *ips: str, ports: Iterable[ImportPort] = ()) -> None:
    spec = ImportSpec(ips=ips, ports=tuple(ports))
    imported = ServiceImport(metadata=Meta(namespace="demo", name=service), spec=spec)
    table.put(clusterset_ip_entry(imported), namespace="demo", service=service)


def endpoint(address: str, hostname: str | None = None, *, ready: bool | None = True) -> Endpoint:
    return Endpoint(addresses=(address,), hostname=hostname, conditions=EndpointConditions(ready=ready))


def piece(
    service: str, cluster: str | None, *endpoints: Endpoint, ports: Iterable[EndpointPort] = ()
) -> EndpointSlice:
    labels = {LABEL_SERVICE_NAME: service} | ({LABEL_SOURCE_CLUSTER: cluster} if cluster else {})
    meta = Meta(namespace="demo", labels=labels)
    return EndpointSlice(metadata=meta, endpoints=endpoints, ports=tuple(ports))


def put_slices(table: Table, service: str, *slices: EndpointSlice) -> None:
    entry = headless_entry(slices, namespace="demo", service=service)
    if entry is not None:
        table.put(entry, namespace="demo", service=service)


@pytest.fixture
def table() -> Table:
    table = Table()
    web = [ImportPort(name="http", port=80), ImportPort(name="quic", port=80, protocol="UDP")]
    web += [ImportPort(name="admin", port=8080), ImportPort(port=9999)]
    put_import(table, "web", "10.96.0.10", ports=web)
    put_import(table, "dual", "10.96.0.20", "fd00:96::20", ports=[ImportPort(name="http", port=80)])
    put_import(table, "soon")
    put_import(table, "portless", "10.96.0.30")
    sql = [EndpointPort(name="sql", port=5432), EndpointPort(name="sql", port=5432, protocol="UDP")]
    put_slices(
        table,
        "db",
        piece("db", "east", endpoint("10.0.0.10", "db-0"), endpoint("10.0.0.11", "db-1"), ports=sql),
        piece("db", "east", endpoint("fd00::a", "db-0"), endpoint("fd00::b", "db-1"), ports=sql),
        piece("db", "east", endpoint("10.0.0.12", "db-2", ready=False), ports=sql),
        piece("db", "west", endpoint("10.1.0.10"), endpoint("fd00::10"), endpoint("fd00:1::"), ports=sql),
        piece("db", None, endpoint("10.9.0.1", "stray"), ports=sql),
    )
    put_slices(table, "bare", piece("bare", "east", endpoint("10.2.0.1", "b-0", ready=None)))
    put_slices(table, "none", piece("none", "east", endpoint("10.3.0.1", "n-0", ready=False), ports=sql))
    many = [endpoint(f"10.4.0.{number}", f"m-{number}") for number in range(1, 101)]
    put_slices(table, "many", piece("many", "east", *many, ports=sql))
    table.put_name_server((ip_address("10.96.0.53"),))
    table.complete = True
    return table


def sent(
    table: Table, query: dns.message.Message, *, transport: Transport = Transport.TCP
) -> dns.message.Message:
    reply = respond(query.to_wire(), table=table, transport=transport)
    assert reply is not None
    decoded = dns.message.from_wire(reply)
    assert query.is_response(decoded)
    return decoded


def asked(table: Table, name: str, type_: str = "A") -> dns.message.Message:
    return sent(table, dns.message.make_query(name, type_, use_edns=0, id=NOT_TURNED))


def data(table: Table, name: str, type_: str = "A") -> list[str]:
    """The records' data, or the kind of denial, each of which has the zone's SOA beside it."""
    reply = asked(table, name, type_)
    assert reply.flags & dns.flags.AA
    found = [str(one) for rrset in reply.answer for one in rrset]
    if reply.rcode() == dns.rcode.NOERROR and found:
        return found
    assert not found
    assert [rrset.rdtype for rrset in reply.authority] == [dns.rdatatype.SOA]
    assert reply.authority[0].name.to_text() == ZONE
    return [dns.rcode.to_text(reply.rcode()) if reply.rcode() else "NODATA"]


NODATA, NXDOMAIN = ["NODATA"], ["NXDOMAIN"]


def test_e101_the_zone_states_the_version_of_the_schema(table: Table) -> None:
    assert data(table, f"dns-version.{ZONE}", "TXT") == ['"1.0.0"']
    assert data(table, f"dns-version.{ZONE}") == NODATA


def test_e102_a_clusterset_ip_import_has_its_addresses_of_each_family(table: Table) -> None:
    assert data(table, WEB) == ["10.96.0.10"]
    assert data(table, WEB, "AAAA") == NODATA
    assert data(table, DUAL) == ["10.96.0.20"]
    assert data(table, DUAL, "AAAA") == ["fd00:96::20"]


def test_e103_each_named_port_of_a_clusterset_ip_import_is_a_service_record(table: Table) -> None:
    assert data(table, f"_http._tcp.{WEB}", "SRV") == [f"0 100 80 {WEB}"]
    assert data(table, f"_quic._udp.{WEB}", "SRV") == [f"0 100 80 {WEB}"]
    assert data(table, f"_admin._tcp.{WEB}", "SRV") == [f"0 100 8080 {WEB}"]
    assert data(table, f"_http._udp.{WEB}", "SRV") == NXDOMAIN


def test_e104_a_headless_import_has_the_addresses_of_its_ready_endpoints(table: Table) -> None:
    four, six = data(table, DB), data(table, DB, "AAAA")
    assert sorted(four) == ["10.0.0.10", "10.0.0.11", "10.1.0.10"]
    assert sorted(six) == ["fd00:1::", "fd00::10", "fd00::a", "fd00::b"]


def test_e105_each_ready_endpoint_has_a_name_below_its_clusters(table: Table) -> None:
    assert data(table, EAST0) == ["10.0.0.10"]
    assert data(table, EAST0, "AAAA") == ["fd00::a"]
    assert data(table, EAST1) == ["10.0.0.11"]
    assert data(table, f"db-2.east.{DB}") == NXDOMAIN, "it is not ready"
    assert data(table, f"db-0.west.{DB}") == NXDOMAIN, "it is another cluster's"


def test_e106_a_headless_import_has_a_service_record_for_each_endpoint_and_named_port(table: Table) -> None:
    targets = sorted([EAST0, EAST1, WEST4, WEST6, WEST0])
    for name in (f"_sql._tcp.{DB}", f"_sql._udp.{DB}"):
        assert sorted(data(table, name, "SRV")) == [f"0 100 5432 {target}" for target in targets]


def test_e107_the_addresses_that_the_zone_gives_out_have_names(table: Table) -> None:
    for address, name in [
        ("10.96.0.10", WEB),
        ("fd00:96::20", DUAL),
        ("10.0.0.10", EAST0),
        ("fd00::10", WEST6),
    ]:
        reply = asked(table, dns.reversename.from_address(address).to_text(), "PTR")
        assert [str(one) for rrset in reply.answer for one in rrset] == [name]
    elsewhere = asked(table, dns.reversename.from_address("192.0.2.1").to_text(), "PTR")
    assert elsewhere.rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("name", [f"east.{DB}", f"west.{DB}", f"east.{WEB}", f"EAST.{DB}"])
@pytest.mark.parametrize("type_", ["A", "AAAA", "SRV", "TXT", "ANY"])
def test_e108_e601_a_cluster_id_below_a_service_does_not_exist(table: Table, name: str, type_: str) -> None:
    assert data(table, name, type_) == NXDOMAIN


def test_e109_a_port_without_a_name_has_no_service_record(table: Table) -> None:
    assert all(" 9999 " not in record for record in data(table, WEB, "SRV"))


def test_e110_matching_is_case_insensitive_and_the_spelling_comes_back(table: Table) -> None:
    for name in ("WEB.Demo.sVc.ClusterSet.LOCAL.", "wEb.dEMO.svc.clusterset.local."):
        reply = asked(table, name)
        assert reply.question[0].name.to_text() == name
        assert reply.answer[0].name.to_text() == name
        assert [str(one) for one in reply.answer[0]] == ["10.96.0.10"]


def test_e111_names_are_spelled_within_the_bounds_of_labels_and_names() -> None:
    table = Table()
    long = "x" * 63
    ports = [EndpointPort(name="sql", port=1)]
    found = [endpoint("10.0.0.1", long), endpoint("10.0.0.2", "short")]
    slices = [
        EndpointSlice(
            metadata=Meta(namespace=long, labels={LABEL_SOURCE_CLUSTER: long}),
            endpoints=tuple(found),
            ports=tuple(ports),
        )
    ]
    entry = headless_entry(slices, namespace=long, service=long)
    assert entry is not None
    table.put(entry, namespace=long, service=long)
    table.complete = True
    own = f"{long}.{long}.svc.{ZONE}"
    assert sorted(data(table, own)) == ["10.0.0.1", "10.0.0.2"], "the addresses stay"
    (record,) = data(table, own, "SRV")
    assert record.endswith(f"short.{long}.{own}"), "of the two names only one has at most 253 characters"
    assert data(table, f"short.{long}.{own}") == ["10.0.0.2"]


def test_e112_the_local_zone_is_none_of_ours(table: Table) -> None:
    for name in ("web.demo.svc.cluster.local.", "cluster.local.", "example.com.", "."):
        reply = asked(table, name)
        assert (reply.rcode(), reply.answer, reply.authority) == (dns.rcode.REFUSED, [], [])


def test_e201_apex_svc_and_namespace_exist_and_hold_nothing_the_apex_its_soa_and_ns(table: Table) -> None:
    for name in (ZONE, f"svc.{ZONE}", f"demo.svc.{ZONE}"):
        assert data(table, name) == NODATA
    (soa,) = data(table, ZONE, "SOA")
    assert soa.startswith(f"ns.dns.{ZONE} hostmaster.{ZONE} ")
    assert data(table, ZONE, "NS") == [f"ns.dns.{ZONE}"]
    assert data(table, f"ns.dns.{ZONE}") == ["10.96.0.53"]


def test_e203_without_an_import_there_is_no_name(table: Table) -> None:
    assert data(table, f"other.demo.svc.{ZONE}") == NXDOMAIN
    assert data(table, f"web.other.svc.{ZONE}") == NXDOMAIN
    table.drop(namespace="demo", service="web")
    assert data(table, WEB) == data(table, f"_http._tcp.{WEB}", "SRV") == NXDOMAIN


def test_e204_a_family_without_an_address_and_an_import_without_any_are_nodata(table: Table) -> None:
    assert data(table, WEB, "AAAA") == NODATA
    assert data(table, SOON) == data(table, SOON, "AAAA") == NODATA


def test_e205_an_import_without_ports_has_its_addresses_all_the_same(table: Table) -> None:
    portless = f"portless.demo.svc.{ZONE}"
    assert data(table, portless) == ["10.96.0.30"]
    assert data(table, portless, "SRV") == NODATA


def test_e206_a_headless_import_without_a_ready_endpoint_does_not_exist(table: Table) -> None:
    none = f"none.demo.svc.{ZONE}"
    for name in (none, f"n-0.east.{none}", f"_sql._tcp.{none}"):
        for type_ in ("A", "AAAA", "SRV", "TXT"):
            assert data(table, name, type_) == NXDOMAIN


def test_e207_endpoints_without_ports_have_addresses_and_no_service_records(table: Table) -> None:
    assert data(table, BARE) == data(table, f"b-0.east.{BARE}") == ["10.2.0.1"]
    assert data(table, BARE, "SRV") == NODATA


@pytest.mark.parametrize("type_", ["TXT", "MX", "CNAME", "PTR", "HTTPS", "TYPE65280"])
def test_e208_another_type_is_nodata_where_the_name_exists_and_nxdomain_where_not(
    table: Table, type_: str
) -> None:
    for name in (WEB, DB, EAST0, f"_http._tcp.{WEB}", f"_tcp.{WEB}"):
        assert data(table, name, type_) == NODATA
    assert data(table, f"other.demo.svc.{ZONE}", type_) == NXDOMAIN


def test_e209_e210_other_labels_below_a_service_do_not_exist(table: Table) -> None:
    for below in ("a.b.c", "x.db-0.east", "a.east", "db-0", "10-1-0-10", "x"):
        assert data(table, f"{below}.{DB}") == NXDOMAIN
    for below in ("a.b.c", "web-0.east", "x"):
        assert data(table, f"{below}.{WEB}") == NXDOMAIN


def test_e211_before_the_lists_are_complete_nothing_is_denied(table: Table) -> None:
    table.complete = False
    for name in (WEB, f"other.demo.svc.{ZONE}", ZONE):
        reply = asked(table, name)
        assert (reply.rcode(), reply.answer) == (dns.rcode.SERVFAIL, [])


def test_e302_only_slices_that_name_their_cluster_count_and_silence_about_readiness_is_ready(
    table: Table,
) -> None:
    assert "10.9.0.1" not in data(table, DB)
    assert data(table, f"stray.{DB}") == NXDOMAIN
    assert data(table, BARE) == ["10.2.0.1"]


def test_e401_an_endpoint_without_a_hostname_is_called_by_its_address_with_dashes(table: Table) -> None:
    assert data(table, WEST4) == ["10.1.0.10"]
    assert data(table, WEST6, "AAAA") == ["fd00::10"]
    assert data(table, WEST0, "AAAA") == ["fd00:1::"], "one that would end in a dash gets a 0"
    assert data(table, f"fd00-1--.west.{DB}", "AAAA") == NXDOMAIN


def test_e402_an_endpoint_with_a_hostname_is_called_by_nothing_else(table: Table) -> None:
    assert data(table, f"10-0-0-10.east.{DB}") == NXDOMAIN


def test_e501_service_records_at_the_bare_name_are_those_of_all_ports(table: Table) -> None:
    assert data(table, WEB, "SRV") == [f"0 100 80 {WEB}", f"0 100 8080 {WEB}"]
    assert sorted(record.split()[3] for record in data(table, DB, "SRV")) == sorted(
        [EAST0, EAST1, WEST4, WEST6, WEST0]
    )


def test_e502_each_target_and_port_is_told_once(table: Table) -> None:
    for name in (WEB, DB, f"_sql._tcp.{DB}"):
        records = data(table, name, "SRV")
        assert len(set(records)) == len(records)


def test_e503_service_records_are_authoritative_with_an_empty_additional_section(table: Table) -> None:
    for name in (WEB, DB, f"_sql._tcp.{DB}", f"_http._tcp.{WEB}"):
        reply = asked(table, name, "SRV")
        assert reply.flags & dns.flags.AA
        assert not reply.additional


def test_e504_an_address_is_told_once_however_many_ports_and_slices_have_it(table: Table) -> None:
    sql = [EndpointPort(name=name, port=number) for number, name in enumerate(("a", "b", "c"), 1)]
    same = [piece("db", "east", endpoint("10.0.0.10", "db-0"), ports=sql) for _ in range(3)]
    put_slices(table, "db", *same)
    assert data(table, DB) == data(table, EAST0) == ["10.0.0.10"]


def test_g01_of_the_question_nothing_is_changed_and_of_the_flags_only_rd_comes_back(table: Table) -> None:
    query = dns.message.make_query(WEB, "A", flags=dns.flags.RD | dns.flags.CD | dns.flags.AD, id=4711)
    reply = sent(table, query)
    assert reply.id == 4711 and reply.question == query.question
    assert reply.flags == dns.flags.QR | dns.flags.AA | dns.flags.RD


def test_g02_over_udp_a_reply_fits_into_what_the_asker_takes_and_what_does_not_is_cut_whole(
    table: Table,
) -> None:
    for use_edns, payload, room in [(False, 0, 512), (0, 400, 512), (0, 1000, 1000), (0, 65535, OUR_PAYLOAD)]:
        query = dns.message.make_query(MANY, "A", use_edns=use_edns, payload=payload)
        packet = respond(query.to_wire(), table=table, transport=Transport.UDP)
        assert packet is not None and len(packet) <= room
        reply = dns.message.from_wire(packet)
        assert reply.flags & dns.flags.TC and not reply.answer
    assert len(sent(table, query, transport=Transport.TCP).answer[0]) == 100


def test_g03_edns_is_answered_with_our_own_size_and_without_it_there_is_none(table: Table) -> None:
    reply = sent(table, dns.message.make_query(WEB, "A", use_edns=0, payload=4096, want_dnssec=True))
    assert (reply.edns, reply.payload, reply.ednsflags) == (0, OUR_PAYLOAD, dns.flags.DO)
    assert sent(table, dns.message.make_query(WEB, "A", use_edns=False)).edns == -1


def test_g04_options_that_nobody_knows_are_passed_over(table: Table) -> None:
    options = [
        dns.edns.GenericOption(65001, b"hello"),  # type: ignore[arg-type]  # numbers without a name are meant
        dns.edns.ECSOption("192.0.2.0", 24),
        dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(100)),
    ]
    reply = sent(table, dns.message.make_query(WEB, "A", use_edns=0, options=options))
    assert (reply.rcode(), reply.options) == (dns.rcode.NOERROR, ())
    assert [str(one) for one in reply.answer[0]] == ["10.96.0.10"]


def test_g05_a_later_version_of_edns_is_told_which_one_we_speak(table: Table) -> None:
    reply = sent(table, dns.message.make_query(WEB, "A", use_edns=1))
    assert (reply.rcode(), reply.edns, reply.answer) == (dns.rcode.BADVERS, 0, [])


def test_g06_any_gets_one_record_set(table: Table) -> None:
    for name, type_ in [(DUAL, dns.rdatatype.A), (f"_http._tcp.{WEB}", dns.rdatatype.SRV)]:
        (rrset,) = asked(table, name, "ANY").answer
        assert rrset.rdtype == type_


@pytest.mark.parametrize("class_", ["CH", "HS", "ANY", "NONE"])
def test_g07_classes_other_than_internet_are_refused(table: Table, class_: str) -> None:
    query = dns.message.make_query(WEB, "A", rdclass=dns.rdataclass.from_text(class_))
    assert sent(table, query).rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("type_", ["AXFR", "IXFR"])
def test_g08_the_zone_is_not_transferred(table: Table, type_: str) -> None:
    assert asked(table, ZONE, type_).rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize(
    "opcode", [dns.opcode.IQUERY, dns.opcode.STATUS, dns.opcode.NOTIFY, dns.opcode.UPDATE]
)
def test_g09_other_operations_are_not_implemented(table: Table, opcode: dns.opcode.Opcode) -> None:
    query = bytearray(dns.message.make_query(WEB, "A").to_wire())
    query[2] |= opcode << 3
    reply = respond(bytes(query), table=table, transport=Transport.UDP)
    assert reply is not None
    assert dns.message.from_wire(reply).rcode() == dns.rcode.NOTIMP


def test_g10_several_questions_or_none_are_malformed(table: Table) -> None:
    packet = dns.message.make_query(WEB, "A").to_wire()
    twice = packet[:4] + b"\0\2" + packet[6:] + packet[12:]
    none = packet[:4] + b"\0\0" + packet[6:12]
    for malformed in (twice, none):
        reply = respond(malformed, table=table, transport=Transport.UDP)
        assert reply is not None
        assert dns.message.from_wire(reply).rcode() == dns.rcode.FORMERR


def test_g11_an_answer_gets_no_answer(table: Table) -> None:
    reply = dns.message.make_response(dns.message.make_query(WEB, "A"))
    assert respond(reply.to_wire(), table=table, transport=Transport.UDP) is None


def test_g12_the_order_is_turned_by_the_id_of_the_query_and_nothing_else(table: Table) -> None:
    def first(query_id: int) -> str:
        return str(sent(table, dns.message.make_query(DB, "A", id=query_id)).answer[0][0])

    assert [first(one) for one in (0, 1, 2, 3)] == [first(one) for one in (3, 4, 5, 6)]
    assert {first(one) for one in (0, 1, 2)} == set(data(table, DB))
