"""What a ServiceExport comes to (KEP-1645, "Exporting Services")."""

from dataclasses import dataclass
from datetime import timedelta

import msgspec
import pytest

from mesh_core.chunks import chunks_of
from mesh_core.export import ExportDecision, conditions_of, decide, is_exported
from mesh_core.export_record import Exporter, fits_server_name
from mesh_core.merge import Conflict
from mesh_core.objects import (
    Condition,
    EndpointPort,
    EndpointSlice,
    ExportSpec,
    ExportStatus,
    Service,
    ServicePort,
)
from mesh_core.record import ExportRecord
from mesh_fakes.exports import NOW, endpoint, service, service_export, source_slice

HTTP = ServicePort(port=80, name="http")


UDP = ServicePort(port=53, name="dns", protocol="UDP")
SCTP = ServicePort(port=99, name="signal", protocol="SCTP")
WEST = Exporter(cluster="west", zone_scope="cloud/west")


def decided(found: Service | None, *slices: EndpointSlice, **annotations: str) -> ExportDecision:
    chunks = [chunk for piece in slices for chunk in chunks_of(piece)]
    return decide(service_export(**annotations), service=found, chunks=chunks, exporter=WEST)


def recorded(found: Service, *slices: EndpointSlice, **annotations: str) -> ExportRecord:
    record = decided(found, *slices, **annotations).record
    assert record is not None
    return record


def headless(*ports: ServicePort) -> Service:
    """As API servers have one without ports: the list is empty."""
    found = service(*ports, cluster_ip="None")
    return msgspec.structs.replace(found, spec=msgspec.structs.replace(found.spec, ports=ports))


@pytest.mark.parametrize(
    ("export", "says"),
    [
        (ExportSpec(exported_annotations={"note": "x" * 20_000}), "more than 16384 characters"),
        (
            ExportSpec(exported_annotations={f"note-{n}": "x" * 3_000 for n in range(64)}),
            "more than 16384 characters",
        ),
        (ExportSpec(exported_labels={"a": "not a label value!"}), "not the value of a label"),
    ],
)
def test_what_every_peer_would_refuse_is_withheld_and_says_so(export: ExportSpec, says: str) -> None:
    found = decide(
        msgspec.structs.replace(service_export(), spec=export), service=service(), chunks=(), exporter=WEST
    )
    assert found.record is None
    assert not found.ready.status and says in found.ready.message


@dataclass(frozen=True)
class Case:
    service: Service | None
    valid: tuple[bool, str]
    ready: tuple[bool, str]
    says: str


CASES = {
    "no service": Case(None, (False, "NoService"), (False, "Pending"), "create it"),
    "external name": Case(
        service(type="ExternalName"), (False, "InvalidServiceType"), (False, "Failed"), "ExternalName"
    ),
    "cluster IP": Case(service(), (True, "Valid"), (True, "Exported"), "every member"),
    "node port": Case(service(type="NodePort"), (True, "Valid"), (True, "Exported"), "every member"),
    "load balancer": Case(service(type="LoadBalancer"), (True, "Valid"), (True, "Exported"), "every"),
    "headless": Case(headless(HTTP), (True, "Valid"), (True, "Exported"), "every member"),
    "headless without ports": Case(headless(), (True, "Valid"), (True, "Exported"), "NoPortsAcrossNetworks"),
    "headless, only UDP": Case(headless(UDP), (True, "Valid"), (True, "Exported"), "every member"),
    "only UDP": Case(service(UDP), (True, "Valid"), (True, "Exported"), "every member"),
    "UDP beside TCP": Case(service(HTTP, UDP), (True, "Valid"), (True, "Exported"), "every member"),
    "only SCTP": Case(service(SCTP), (True, "Valid"), (False, "Failed"), "add a TCP port"),
    "headless, only SCTP": Case(headless(SCTP), (True, "Valid"), (False, "Failed"), "add a TCP port"),
    "SCTP beside TCP": Case(
        service(HTTP, SCTP),
        (True, "Valid"),
        (True, "Exported"),
        "SCTP is not carried between clusters: signal",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_export_is_judged_by_its_service(case: Case) -> None:
    decision = decided(case.service)
    assert (decision.valid.status, decision.valid.reason) == case.valid
    assert (decision.ready.status, decision.ready.reason) == case.ready
    assert case.says in decision.ready.message
    assert (decision.record is not None) == decision.ready.status


@pytest.mark.parametrize("found", [service(HTTP, UDP), service(UDP), headless(UDP)])
def test_udp_is_carried_like_tcp_and_nothing_is_said_of_it(found: Service) -> None:
    assert decided(found).ready.message == "exported to every member of the clusterset"


@pytest.mark.parametrize(
    "annotations",
    [{"meshctl.dev/alow": "west"}, {"meshctl.dev/allow": ""}, {"meshctl.dev/traffic": "local_first"}],
    ids=["misspelt", "empty", "bad value"],
)
def test_an_annotation_of_ours_that_is_not_understood_withholds_the_export_ruling_26(
    annotations: dict[str, str],
) -> None:
    decision = decided(service(), **annotations)
    assert decision.record is None
    assert decision.valid.status
    assert (decision.ready.status, decision.ready.reason) == (False, "InvalidPolicy")
    assert next(iter(annotations)) in decision.ready.message


def test_what_the_annotations_ask_for_stands_in_the_record_and_in_the_message() -> None:
    asked = {"meshctl.dev/allow": "north, east", "meshctl.dev/traffic": "local-first"}
    decision = decided(service(), **asked)
    assert decision.record is not None
    assert decision.record.allow == ("east", "north")
    assert decision.record.traffic == "local-first"
    assert decision.ready.message == "exported to east, north only"
    plain = recorded(service())
    assert (plain.allow, plain.traffic) == (None, "balanced")


def test_the_record_says_what_kind_of_service_it_is_and_where_its_zones_lie() -> None:
    assert recorded(service()).type == "ClusterSetIP"
    assert recorded(service()).zone_scope == "cloud/west"
    found = recorded(headless())
    assert (found.type, found.ports) == ("Headless", ())


def test_a_service_without_a_selector_is_exported_like_any_other() -> None:
    """Its slices are written by hand; whether a gateway dials what they name is the gateway's to say."""
    by_hand = source_slice(endpoint("10.0.0.1"), name="by-hand")
    with_selector = msgspec.structs.replace(service().spec, selector={"app": "hello"})
    for spec in (service().spec, with_selector):
        found = recorded(msgspec.structs.replace(service(), spec=spec), by_hand)
        assert [port.ready for port in found.ports] == [1]


def test_endpoints_whose_names_are_too_long_for_a_gateway_are_said_ruling_4() -> None:
    long = "x" * 63
    namespace, name = "n" * 63, "s" * 63
    meta = msgspec.structs.replace(service().metadata, namespace=namespace, name=name)
    export = msgspec.structs.replace(
        service_export(), metadata=msgspec.structs.replace(meta, creation_timestamp="2026-01-01T00:00:00Z")
    )
    chunks = chunks_of(source_slice(endpoint("10.0.0.1", hostname=long)))
    exporter = Exporter(cluster="c" * 40)
    found = decide(
        export,
        service=msgspec.structs.replace(headless(HTTP), metadata=meta),
        chunks=chunks,
        exporter=exporter,
    )
    assert found.record is not None
    assert f"names as long as {long} are reached within one network only" in found.ready.message
    short = decide(service_export(), service=headless(HTTP), chunks=chunks, exporter=exporter)
    assert "as long as" not in short.ready.message


def test_a_name_of_253_characters_with_the_longest_port_still_fits() -> None:
    rest = len("65535." + ".west.hello.demo.svc.clusterset.local")
    for over in (0, 1):
        name = "x" * (253 - rest + over)
        fits = fits_server_name(cluster="west", namespace="demo", service="hello", endpoint=name)
        assert fits == (not over)


def test_the_record_carries_the_ports_of_all_protocols_and_counts_what_is_ready_behind_each() -> None:
    admin = EndpointPort(name="admin", port=9000)
    found = recorded(
        service(HTTP, ServicePort(port=90, name="admin"), UDP, SCTP),
        source_slice(endpoint("10.0.0.1"), endpoint("10.0.0.2", ready=False), endpoint("10.0.0.3")),
        # The same pod in a second slice during a roll-out counts once.
        source_slice(endpoint("10.0.0.3"), name="hello-fghij"),
        source_slice(endpoint("10.0.0.1"), name="hello-admin", ports=(admin,)),
        source_slice(endpoint("fd00::1"), endpoint("fd00::3"), name="hello-six", address_type="IPv6"),
    )
    assert {port.name: (port.protocol, port.ready) for port in found.ports} == {
        "http": ("TCP", 2),
        "admin": ("TCP", 1),
        "dns": ("UDP", 0),
        "signal": ("SCTP", 0),
    }


def test_a_missing_ready_condition_means_ready() -> None:
    found = recorded(service(), source_slice(endpoint("10.0.0.1", ready=None)))
    assert found.ports[0].ready == 1


def test_an_obstacle_to_the_import_here_is_told_and_withholds_nothing() -> None:
    decision = decide(service_export(), service=service(), chunks=(), exporter=WEST, obstacle="a stone")
    assert decision.record is not None
    assert "a stone" in decision.ready.message


def test_an_export_that_is_being_deleted_is_none() -> None:
    meta = msgspec.structs.replace(service_export().metadata, deletion_timestamp="2026-01-01T00:00:00Z")
    assert is_exported(service_export())
    assert not is_exported(msgspec.structs.replace(service_export(), metadata=meta))
    assert not is_exported(None)


def by_type(conditions: tuple[Condition, ...]) -> dict[str, Condition]:
    return {condition.type: condition for condition in conditions}


def test_conditions_keep_their_time_while_their_status_stays() -> None:
    export = service_export()
    first = conditions_of(export, decision=decided(service()), conflicts=(), now=NOW)
    seen = msgspec.structs.replace(export, status=ExportStatus(conditions=first))
    later = NOW + timedelta(hours=1)
    assert conditions_of(seen, decision=decided(service()), conflicts=(), now=later) == first
    conflict = Conflict("PortConflict", "Conflicting ports.")
    changed = by_type(conditions_of(seen, decision=decided(service()), conflicts=(conflict,), now=later))
    assert changed["Conflict"].status == "True"
    assert changed["Conflict"].last_transition_time == "2026-11-21T13:00:00Z"
    assert changed["Ready"].last_transition_time == "2026-11-21T12:00:00Z"
    assert {condition.observed_generation for condition in changed.values()} == {3}


def test_several_conflicts_are_joined_by_commas_without_spaces() -> None:
    conflicts = (Conflict("PortConflict", "Ports."), Conflict("LabelsConflict", "Labels."))
    found = by_type(
        conditions_of(service_export(), decision=decided(service()), conflicts=conflicts, now=NOW)
    )
    assert found["Conflict"].reason == "PortConflict,LabelsConflict"
    assert found["Conflict"].message == "Ports. Labels."


def test_an_export_that_takes_no_part_in_the_merge_has_no_conflict_condition() -> None:
    conflicts = (Conflict("PortConflict", "Ports."),)
    found = by_type(conditions_of(service_export(), decision=decided(None), conflicts=conflicts, now=NOW))
    assert found.keys() == {"Valid", "Ready"}


def test_conditions_of_other_writers_stay() -> None:
    other = Condition(type="example.com/Audited", status="True", reason="Yes")
    seen = msgspec.structs.replace(service_export(), status=ExportStatus(conditions=(other,)))
    found = conditions_of(seen, decision=decided(service()), conflicts=(), now=NOW)
    assert found[-1] == other
    assert len(found) == 4


def test_a_message_is_cut_to_what_a_person_reads() -> None:
    conflict = Conflict("PortConflict", "x" * 40_000)
    found = by_type(
        conditions_of(service_export(), decision=decided(service()), conflicts=(conflict,), now=NOW)
    )
    assert len(found["Conflict"].message) == 1024
