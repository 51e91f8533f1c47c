"""Stand-ins for endpoints of headless services in other networks (ruling 10)."""

import json
from datetime import timedelta

import pytest
from msgspec import structs

from mesh_core.names import (
    ANNOTATION_GONE_SINCE,
    ANNOTATION_TARGET_PORTS,
    LABEL_CLUSTER,
    LABEL_KUBERNETES_SERVICE,
    LABEL_SERVICE_NAME,
    SYSTEM_NAMESPACE,
    stand_in_name,
)
from mesh_core.plan import Create, Delete, Kind, Plan, Rest
from mesh_core.record import RecordPort, ShardEndpoint, ShardPort
from mesh_core.slices import mcs_labels
from mesh_core.stand_ins import KEPT, next_expiry, stand_in_of
from mesh_fakes.exports import NOW, headless, record, shard
from mesh_fakes.import_scene import ImportScene, addresses, behind, by_endpoint, listing
from mesh_runtime.kube import ENDPOINT_SLICES, SERVICES

DB_0 = ShardEndpoint(address="10.9.0.1", hostname="db-0")
DB_1 = ShardEndpoint(address="10.9.0.2", hostname="db-1", ready=False)
NAMELESS = ShardEndpoint(address="10.9.0.3")
ADMIN = RecordPort(port=9000, name="admin", ready=1)
DB = RecordPort(port=5432, name="db", ready=2)


def scene_of(*endpoints: ShardEndpoint) -> ImportScene:
    scene = ImportScene(records={"west": headless("west")}, shards=[shard("west", *endpoints)])
    scene.settle()
    return scene


def at(plan: Plan, kind: type, *, what: Kind | None = None) -> int:
    """Where the first such step stands in the plan."""
    return next(n for n, s in enumerate(plan) if isinstance(s, kind) and getattr(s, "kind", None) is what)


def test_a_stand_in_has_the_ports_that_the_pods_listen_on_not_the_services() -> None:
    """Clients of a headless Service connect to the pod: 5432 of the Service is 15432 there."""
    scene = scene_of(DB_0)
    (service,) = scene.stand_ins
    assert [(port.name, port.port) for port in service.spec.ports] == [("db", 15432)]
    assert service.spec.selector == {}
    (piece,) = listing(scene)
    assert [(port.name, port.port) for port in piece.ports or ()] == [("db", 15432)]
    (port,) = behind(scene, "db-0").ports or ()
    assert port.port in range(16384, 32768)
    assert json.loads(behind(scene, "db-0").metadata.annotations[ANNOTATION_TARGET_PORTS]) == {"db": 15432}


def test_two_pods_whose_named_target_ports_differ_each_keep_their_own() -> None:
    scene = scene_of(DB_0)
    other = (ShardPort(port=25432, name="db"),)
    scene.shards.append(shard("west", DB_1, name="bbbbbbbbbb", ports=other))
    scene.settle()
    found = {name: service.spec.ports[0].port for name, service in by_endpoint(scene).items()}
    assert found == {"db-0": 15432, "db-1": 25432}
    assert [(piece.ports or ())[0].port for piece in listing(scene)] == [15432, 25432]
    claimed = [(behind(scene, name).ports or ())[0].port for name in found]
    assert len(set(claimed)) == 2


def test_the_import_lists_the_addresses_that_stand_for_its_endpoints_under_their_names() -> None:
    scene = scene_of(DB_0, DB_1, NAMELESS)
    ips = {name: service.spec.cluster_ip for name, service in by_endpoint(scene).items()}
    assert addresses(scene) == ips
    assert set(ips) == {"db-0", "db-1", "10-9-0-3"}, "who has no hostname has its address with dashes"
    (piece,) = listing(scene)
    assert [one.is_ready for one in piece.endpoints or () if one.hostname == "db-1"] == [False]


def test_stand_ins_lie_in_our_namespace_and_no_reader_of_the_mcs_api_takes_them_for_endpoints() -> None:
    scene = scene_of(DB_0)
    assert {service.metadata.namespace for service in scene.stand_ins} == {SYSTEM_NAMESPACE}
    own = behind(scene, "db-0")
    assert own.metadata.namespace == SYSTEM_NAMESPACE
    assert LABEL_SERVICE_NAME not in own.metadata.labels, "CoreDNS would answer with gateways"
    assert [one.addresses[0] for one in own.endpoints or ()] == list(scene.gateways)
    (piece,) = listing(scene)
    assert piece.metadata.labels == mcs_labels(service="hello", cluster="west")
    assert LABEL_KUBERNETES_SERVICE not in piece.metadata.labels, "kube-proxy has no part in it"
    assert scene.shadow is None


def test_the_slice_behind_a_stand_in_is_there_before_its_address_is_listed() -> None:
    scene = ImportScene(records={"west": headless("west")}, shards=[shard("west", DB_0)])
    made: list[tuple[str, str]] = []
    while plan := scene.plan():
        made += [
            (step.kind.value, step.body["metadata"]["namespace"]) for step in plan if isinstance(step, Create)
        ]
        scene.write(plan)
    assert made == [
        ("ServiceImport", "demo"),
        ("EndpointSlice", SYSTEM_NAMESPACE),
        # After all slices: it is what fails when cluster IPs have run out.
        ("Service", SYSTEM_NAMESPACE),
        ("EndpointSlice", "demo"),
    ]


def test_a_hostname_keeps_its_address_through_a_restart_and_an_address_does_not() -> None:
    scene = scene_of(DB_0, NAMELESS)
    before = addresses(scene)
    moved = [structs.replace(DB_0, address="10.9.0.8"), structs.replace(NAMELESS, address="10.9.0.9")]
    scene.shards = [shard("west", *moved)]
    scene.settle()
    after = addresses(scene)
    assert after["db-0"] == before["db-0"]
    assert set(after) == {"db-0", "10-9-0-9"}


def test_what_went_is_kept_ten_minutes_lets_nobody_through_and_comes_back_as_it_was() -> None:
    scene = scene_of(DB_0, DB_1)
    service, piece = by_endpoint(scene)["db-0"], behind(scene, "db-0")
    scene.shards = [shard("west", DB_1)]
    scene.settle()
    kept = by_endpoint(scene)["db-0"]
    assert kept.metadata.annotations[ANNOTATION_GONE_SINCE] == "2026-11-21T12:00:00Z"
    assert kept.spec == service.spec
    assert "db-0" not in addresses(scene)
    closed = behind(scene, "db-0")
    assert closed.ports == piece.ports, "it keeps its claim"
    assert {(one.conditions.ready, one.conditions.serving) for one in closed.endpoints or ()} == {
        (False, False)
    }
    scene.now = NOW + KEPT - timedelta(seconds=1)
    assert scene.plan() == ()
    scene.shards = [shard("west", DB_0, DB_1)]
    scene.settle()
    back = by_endpoint(scene)["db-0"]
    assert (back.metadata.uid, back.spec) == (service.metadata.uid, service.spec)
    assert ANNOTATION_GONE_SINCE not in back.metadata.annotations
    assert behind(scene, "db-0").endpoints == piece.endpoints
    assert addresses(scene)["db-0"] == service.spec.cluster_ip
    assert scene.rested == []


def test_after_ten_minutes_it_goes_and_its_port_is_noted_before_its_slice_goes() -> None:
    scene = scene_of(DB_0, DB_1)
    port = (behind(scene, "db-0").ports or ())[0].port
    scene.shards = [shard("west", DB_1)]
    scene.settle()
    scene.now = NOW + KEPT
    plan = scene.plan()
    assert at(plan, Rest) < at(plan, Delete, what=Kind.ENDPOINT_SLICE)
    scene.settle()
    assert scene.rested == [port]
    assert set(by_endpoint(scene)) == {"db-1"}
    assert len(scene.slices) == 2


def test_the_next_look_is_due_when_the_next_stand_in_expires() -> None:
    scene = scene_of(DB_0, DB_1)
    assert next_expiry(scene.stand_ins, now=NOW) is None
    scene.shards = []
    scene.settle()
    assert next_expiry(scene.stand_ins, now=NOW + timedelta(minutes=4)) == 360
    assert next_expiry(scene.stand_ins, now=NOW + timedelta(hours=1)) == 1


def test_a_time_that_does_not_read_does_not_keep_a_stand_in_for_ever() -> None:
    scene = scene_of(DB_0)
    (service,) = scene.stand_ins
    scene.shards = []
    scene.settle()
    meta = {"namespace": SYSTEM_NAMESPACE, "name": service.metadata.name}
    scene.api.put(SERVICES, {"metadata": {**meta, "annotations": {ANNOTATION_GONE_SINCE: "yesterday"}}})
    scene.settle()
    assert scene.stand_ins == []


def test_one_that_is_deleted_by_hand_comes_back_with_the_address_that_is_listed() -> None:
    scene = scene_of(DB_0)
    before = by_endpoint(scene)["db-0"]
    scene.api.remove(SERVICES, before.metadata.name, namespace=SYSTEM_NAMESPACE)
    # An API server refuses the address until it has freed it: nothing else may be lost meanwhile.
    (create,) = scene.plan()
    assert isinstance(create, Create)
    assert create.body["spec"]["clusterIP"] == before.spec.cluster_ip
    scene.settle()
    after = by_endpoint(scene)["db-0"]
    assert after.metadata.uid != before.metadata.uid
    assert after.spec.cluster_ip == before.spec.cluster_ip
    assert scene.rested == []


def test_an_address_that_is_somebody_elses_by_then_is_given_up() -> None:
    scene = scene_of(DB_0)
    (before,) = scene.stand_ins
    scene.api.remove(SERVICES, before.metadata.name, namespace=SYSTEM_NAMESPACE)
    thief = {"clusterIP": before.spec.cluster_ip, "ports": []}
    scene.api.put(SERVICES, {"metadata": {"namespace": "demo", "name": "thief"}, "spec": thief})
    scene.reuse_ips = False
    scene.settle()
    (after,) = scene.stand_ins
    assert addresses(scene) == {"db-0": after.spec.cluster_ip}
    assert after.spec.cluster_ip != before.spec.cluster_ip


def test_an_unexport_removes_everything_at_once_with_ports_noted_first() -> None:
    scene = scene_of(DB_0, DB_1)
    scene.shards = [shard("west", DB_1)]
    scene.settle()
    scene.records.clear()
    plan = scene.plan()
    assert at(plan, Rest) < at(plan, Delete, what=Kind.ENDPOINT_SLICE)
    scene.write(plan)
    assert (scene.stand_ins, scene.slices, scene.service_import) == ([], [], None)
    assert len(scene.rested) == 2
    assert scene.plan() == ()


def test_one_clusters_unexport_leaves_the_stand_ins_of_others_and_expires_its_own() -> None:
    scene = scene_of(DB_0)
    scene.records["north"] = headless("north")
    scene.shards.append(shard("north", DB_0))
    scene.settle()
    assert len(scene.stand_ins) == 2
    del scene.records["west"]
    scene.settle()
    scene.now = NOW + KEPT
    scene.settle()
    assert [service.metadata.labels[LABEL_CLUSTER] for service in scene.stand_ins] == ["north"]


@pytest.mark.parametrize("phase", ["Terminating", ""])
def test_the_stand_ins_of_a_namespace_that_vanishes_go_with_it(phase: str) -> None:
    scene = scene_of(DB_0)
    if phase:
        scene.api.namespace("demo", phase=phase)
    else:
        scene.api.remove_namespace("demo")
    scene.settle()
    assert scene.stand_ins == []
    assert all(piece.metadata.namespace == "demo" for piece in scene.slices), "those go with the namespace"
    assert len(scene.rested) == 1


def test_turning_from_headless_to_cluster_ip_and_back_leaves_nothing_behind() -> None:
    scene = scene_of(DB_0, DB_1)
    ports = {port.port for name in ("db-0", "db-1") for port in behind(scene, name).ports or ()}
    first = {(s.metadata.namespace, s.metadata.name): s.metadata.labels for s in scene.slices}
    scene.records["west"] = record("west", DB)
    scene.settle()
    assert scene.stand_ins == []
    assert ports <= set(scene.rested)
    assert [piece.metadata.name for piece in scene.slices] == ["hello.west.ipv4"]
    assert scene.shadow is not None
    scene.records["west"] = headless("west")
    scene.settle()
    scene.now += KEPT
    scene.settle()
    assert scene.shadow is None
    assert {(s.metadata.namespace, s.metadata.name): s.metadata.labels for s in scene.slices} == first


def test_an_import_that_was_headless_for_a_moment_keeps_its_ip() -> None:
    scene = ImportScene(records={"west": record("west", DB)})
    scene.settle()
    assert scene.service_import is not None
    ips = scene.service_import.spec.ips
    scene.records["west"] = headless("west")
    scene.settle()
    assert scene.service_import.spec.ips == ()
    scene.records["west"] = record("west", DB)
    scene.now += KEPT / 2
    scene.settle()
    assert scene.service_import.spec.ips == ips
    assert scene.shadow is not None
    assert ANNOTATION_GONE_SINCE not in scene.shadow.metadata.annotations
    scene.now += 2 * KEPT
    assert scene.plan() == (), "it is not mortal any more"


def test_two_names_for_one_number_make_a_stand_in_with_that_number_once() -> None:
    """The API server refuses a Service with one number twice; a pod may have it under two names."""
    ports = (ShardPort(port=8080, name="http"), ShardPort(port=8080, name="metrics"))
    served = (RecordPort(port=80, name="http", ready=1), RecordPort(port=81, name="metrics", ready=1))
    scene = ImportScene(
        records={"west": structs.replace(record("west", *served), type="Headless")},
        shards=[structs.replace(shard("west", DB_0), ports=ports)],
    )
    scene.settle()
    (service,) = scene.stand_ins
    assert [(port.name, port.port) for port in service.spec.ports] == [("http", 8080)]
    (piece,) = listing(scene)
    assert {port.name for port in piece.ports or ()} == {"http", "metrics"}, "both have names in DNS"


def test_a_stand_in_is_known_by_its_labels() -> None:
    scene = scene_of(DB_0)
    (service,) = scene.stand_ins
    assert stand_in_of(service) == ("demo", "hello")
    assert service.metadata.name == stand_in_name(
        cluster="west", namespace="demo", service="hello", endpoint="db-0"
    )
    for label in service.metadata.labels:
        if label != LABEL_CLUSTER:
            labels = {key: text for key, text in service.metadata.labels.items() if key != label}
            meta = structs.replace(service.metadata, labels=labels)
            assert stand_in_of(structs.replace(service, metadata=meta)) is None


def test_tampering_with_a_stand_in_or_its_slice_is_mended() -> None:
    scene = scene_of(DB_0)
    (service,) = scene.stand_ins
    piece = behind(scene, "db-0")
    meta = {"namespace": SYSTEM_NAMESPACE, "name": service.metadata.name}
    scene.api.put(SERVICES, {"metadata": meta, "spec": {"ports": [{"name": "db", "port": 1}]}})
    meta = {"namespace": SYSTEM_NAMESPACE, "name": piece.metadata.name}
    scene.api.put(ENDPOINT_SLICES, {"metadata": meta, "endpoints": []})
    scene.settle()
    assert scene.stand_ins[0].spec == service.spec
    assert behind(scene, "db-0").endpoints == piece.endpoints
