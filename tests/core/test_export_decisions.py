"""What a ServiceExport comes to (KEP-1645, "Exporting Services")."""

from dataclasses import dataclass
from datetime import timedelta

import msgspec
import pytest

from mesh_core.export import ExportDecision, conditions_of, decide, is_exported
from mesh_core.merge import Conflict
from mesh_core.objects import Condition, EndpointPort, ExportSpec, ExportStatus, Service, ServicePort
from mesh_fakes.exports import NOW, endpoint, service, service_export, source_slice

HTTP = ServicePort(port=80, name="http")


def decided(found: Service | None, **annotations: str) -> ExportDecision:
    return decide(service_export(**annotations), service=found, slices=(), cluster="west")


@pytest.mark.parametrize(
    ("export", "says"),
    [
        (ExportSpec(exported_annotations={"note": "x" * 20_000}), "more characters"),
        (ExportSpec(exported_annotations={f"note-{n}": "x" * 3_000 for n in range(64)}), "bytes"),
        (ExportSpec(exported_labels={"a": "not a label value!"}), "not the value of a label"),
    ],
)
def test_what_every_peer_would_refuse_is_withheld_and_says_so(export: ExportSpec, says: str) -> None:
    found = decide(
        msgspec.structs.replace(service_export(), spec=export), service=service(), slices=(), cluster="west"
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
    "headless": Case(service(cluster_ip="None"), (True, "Valid"), (False, "Failed"), "headless"),
    "only UDP": Case(
        service(ServicePort(port=53, name="dns", protocol="UDP")),
        (True, "Valid"),
        (False, "Failed"),
        "TCP",
    ),
    "UDP beside TCP": Case(
        service(HTTP, ServicePort(port=53, name="dns", protocol="UDP")),
        (True, "Valid"),
        (True, "Exported"),
        "left out: dns (UDP)",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_export_is_judged_by_its_service(case: Case) -> None:
    decision = decided(case.service)
    assert (decision.valid.status, decision.valid.reason) == case.valid
    assert (decision.ready.status, decision.ready.reason) == case.ready
    assert case.says in decision.ready.message
    assert (decision.record is not None) == decision.ready.status


def test_an_annotation_of_ours_that_is_not_known_withholds_the_export_ruling_26() -> None:
    decision = decided(service(), **{"meshctl.dev/alow": "west"})
    assert decision.record is None
    assert not decision.ready.status
    assert "meshctl.dev/alow" in decision.ready.message


def test_the_record_carries_only_tcp_ports_and_counts_what_is_ready_behind_each() -> None:
    admin = EndpointPort(name="admin", port=9000)
    slices = (
        source_slice(endpoint("10.0.0.1"), endpoint("10.0.0.2", ready=False), endpoint("10.0.0.3")),
        # The same pod in a second slice during a roll-out counts once.
        source_slice(endpoint("10.0.0.3"), name="hello-fghij"),
        source_slice(endpoint("10.0.0.1"), name="hello-admin", ports=(admin,)),
        source_slice(endpoint("fd00::1"), endpoint("fd00::3"), name="hello-six", address_type="IPv6"),
    )
    found = service(HTTP, ServicePort(port=90, name="admin"), ServicePort(port=53, protocol="UDP"))
    decision = decide(service_export(), service=found, slices=slices, cluster="west")
    assert decision.record is not None
    assert {port.name: port.ready for port in decision.record.ports} == {"http": 2, "admin": 1}


def test_a_missing_ready_condition_means_ready() -> None:
    slices = (source_slice(endpoint("10.0.0.1", ready=None)),)
    decision = decide(service_export(), service=service(), slices=slices, cluster="west")
    assert decision.record is not None
    assert decision.record.ports[0].ready == 1


def test_an_obstacle_to_the_import_here_is_told_and_withholds_nothing() -> None:
    decision = decide(service_export(), service=service(), slices=(), cluster="west", obstacle="a stone")
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


def test_a_message_is_cut_where_the_api_server_would_refuse_it() -> None:
    conflict = Conflict("PortConflict", "x" * 40_000)
    found = by_type(
        conditions_of(service_export(), decision=decided(service()), conflicts=(conflict,), now=NOW)
    )
    assert len(found["Conflict"].message) == 32768
