"""What one plan writes, and in which order (KEP-1645, "Importing Services")."""

import json
from collections.abc import Sequence

import pytest
from msgspec import structs

from mesh_core.names import (
    ANNOTATION_DERIVED_SERVICE,
    ANNOTATION_READY_ENDPOINTS,
    LABEL_KUBERNETES_SERVICE,
    LABEL_MANAGED_BY,
    MANAGER,
)
from mesh_core.objects import EndpointPort, EndpointSlice
from mesh_core.plan import Create, Delete, Kind, Patch, Plan, Rest
from mesh_core.record import RecordPort
from mesh_fakes.exports import headless, record, service
from mesh_fakes.import_scene import SHADOW, ImportScene
from mesh_runtime.kube import ENDPOINT_SLICES, SERVICE_IMPORTS, SERVICES

HTTP = RecordPort(port=80, name="http", ready=2)


def kinds(plan: Plan) -> list[str]:
    """The steps as words."""
    found = []
    for step in plan:
        match step:
            case Rest():
                found.append("rest")
            case Patch(kind=kind, subresource=subresource):
                found.append(f"patch {kind.value}{'/' if subresource else ''}{subresource}")
            case _:
                found.append(f"{type(step).__name__.lower()} {step.kind.value}")
    return found


def scene_of(*clusters: str) -> ImportScene:
    scene = ImportScene()
    scene.records = {cluster: record(cluster) for cluster in clusters}
    return scene


def settled(*clusters: str) -> ImportScene:
    scene = scene_of(*clusters)
    scene.settle()
    return scene


def one_slice(scene: ImportScene) -> EndpointSlice:
    (found,) = scene.slices
    return found


def test_the_service_comes_first_then_the_service_import_with_its_ips_then_its_status() -> None:
    scene = scene_of("west")
    rounds = []
    while plan := scene.plan():
        rounds.append(kinds(plan))
        scene.write(plan)
    assert rounds == [
        ["create Service", "create EndpointSlice"],
        ["create ServiceImport"],
        ["patch ServiceImport/status"],
    ]


def test_a_service_import_states_ips_and_families_from_its_first_moment() -> None:
    scene = scene_of("west")
    scene.write(scene.plan())
    (create,) = scene.plan()
    assert isinstance(create, Create)
    assert scene.shadow is not None
    assert create.body["spec"]["ips"] == list(scene.shadow.spec.cluster_ips)
    assert create.body["spec"]["ipFamilies"] == ["IPv4"]


def test_an_import_names_its_shadow_service_which_nobody_owns() -> None:
    """So a ServiceImport that is deleted by hand does not take the IPs with it."""
    scene = settled("west")
    assert scene.service_import is not None
    assert scene.shadow is not None
    assert scene.service_import.metadata.annotations[ANNOTATION_DERIVED_SERVICE] == SHADOW
    assert scene.shadow.metadata.owner_references == ()
    assert scene.shadow.metadata.labels[LABEL_MANAGED_BY] == MANAGER
    assert scene.shadow.spec.selector == {}


def test_a_lost_service_import_comes_back_with_its_ips() -> None:
    scene = settled("west")
    assert scene.service_import is not None
    before = scene.service_import.spec
    scene.api.remove(SERVICE_IMPORTS, "hello", namespace="demo")
    assert kinds(scene.plan()) == ["create ServiceImport"]
    scene.settle()
    assert scene.service_import is not None
    assert scene.service_import.spec == before


@pytest.mark.parametrize(
    ("own", "exported", "policy", "families"),
    [
        (("IPv6", "IPv4"), ("IPv4",), "PreferDualStack", ["IPv6", "IPv4"]),
        (("IPv6",), ("IPv4", "IPv6"), "SingleStack", ["IPv6"]),
        (None, ("IPv4", "IPv6"), "PreferDualStack", None),
        (None, ("IPv6",), "SingleStack", None),
    ],
    ids=["ours has both", "ours has one", "theirs has both", "theirs is one that we may not have"],
)
def test_the_clusterset_ips_have_the_families_of_our_own_service_or_of_the_cluster(
    own: tuple[str, ...] | None, exported: tuple[str, ...], policy: str, families: list[str] | None
) -> None:
    scene = scene_of()
    scene.records["west"] = structs.replace(record("west"), ip_families=exported)
    if own is not None:
        spec = structs.replace(service().spec, ip_families=own)
        scene.own_service = structs.replace(service(), spec=spec)
    create = scene.plan()[0]
    assert isinstance(create, Create)
    assert create.body["spec"]["ipFamilyPolicy"] == policy
    assert create.body["spec"].get("ipFamilies") == families


def test_what_the_oldest_export_says_of_sessions_reaches_service_and_import() -> None:
    scene = scene_of()
    scene.records["west"] = structs.replace(
        record("west"),
        session_affinity="ClientIP",
        session_affinity_timeout=10,
        internal_traffic_policy="Local",
        traffic_distribution="PreferClose",
    )
    scene.settle()
    assert scene.service_import is not None
    assert scene.shadow is not None
    for spec in (scene.service_import.spec, scene.shadow.spec):
        assert spec.session_affinity == "ClientIP"
        assert spec.session_affinity_config is not None
        assert spec.session_affinity_config.client_ip is not None
        assert spec.session_affinity_config.client_ip.timeout_seconds == 10
        assert spec.internal_traffic_policy == "Local"
    assert scene.service_import.spec.traffic_distribution == "PreferClose"
    assert scene.shadow.spec.traffic_distribution is None
    scene.records["west"] = record("west")
    scene.settle()
    assert scene.shadow is not None
    assert scene.shadow.spec.session_affinity_config is None


def test_a_remote_slice_lists_the_local_gateways_with_the_allocated_port() -> None:
    piece = one_slice(settled("west"))
    assert [endpoint.addresses[0] for endpoint in piece.endpoints or ()] == ["10.1.0.8", "10.1.0.9"]
    (port,) = piece.ports or ()
    assert port.name == "http"
    assert port.port in range(16384, 32768)
    assert json.loads(piece.metadata.annotations[ANNOTATION_READY_ENDPOINTS]) == {"http": 2}
    assert all(endpoint.node_name is None for endpoint in piece.endpoints or ())


def test_all_remote_clusters_share_the_port_of_an_import() -> None:
    scene = settled("west", "north")
    ports = {port.port for piece in scene.slices for port in piece.ports or ()}
    assert len(scene.slices) == 2
    assert len(ports) == 1


@pytest.mark.parametrize(
    ("ready", "listed"), [((0, 0), False), ((2, 0), True), ((0, 1), True)], ids=["none", "west", "north"]
)
def test_remote_slices_are_ready_alike_as_long_as_one_cluster_has_ready_endpoints(
    ready: tuple[int, int], listed: bool
) -> None:
    """kube-proxy keeps whichever slice it meets first when two list one address and port."""
    scene = scene_of()
    for cluster, number in zip(("west", "north"), ready, strict=True):
        scene.records[cluster] = record(cluster, RecordPort(port=80, name="http", ready=number))
    scene.settle()
    conditions = {endpoint.conditions for piece in scene.slices for endpoint in piece.endpoints or ()}
    (condition,) = conditions
    assert (condition.ready, condition.serving, condition.terminating) == (listed, listed, False)


def test_a_cluster_whose_port_lost_draws_no_traffic_for_the_winner() -> None:
    scene = scene_of("east")
    scene.records["west"] = record(
        "west",
        RecordPort(port=81, name="http", ready=2),
        RecordPort(port=90, name="admin", ready=1),
        created="2026-02-01T00:00:00Z",
    )
    scene.settle()
    piece = one_slice(scene)
    assert [port.name for port in piece.ports or ()] == ["admin"]


def test_a_lost_shadow_service_comes_back_with_its_ip_ruling_10() -> None:
    scene = settled("west")
    assert scene.service_import is not None
    before = scene.service_import.spec.ips
    scene.api.remove(SERVICES, SHADOW, namespace="demo")
    scene.settle()
    assert scene.shadow is not None
    assert scene.shadow.spec.cluster_ips == before == scene.service_import.spec.ips


def test_an_ip_that_is_somebody_elses_now_is_given_up() -> None:
    scene = settled("west")
    assert scene.service_import is not None
    (ip,) = scene.service_import.spec.ips
    scene.api.remove(SERVICES, SHADOW, namespace="demo")
    body = {"metadata": {"namespace": "demo", "name": "thief"}, "spec": {"clusterIP": ip, "ports": []}}
    scene.api.put(SERVICES, body)
    scene.reuse_ips = False
    scene.settle()
    assert scene.service_import is not None
    assert scene.service_import.spec.ips != (ip,)


def test_the_last_unexport_rests_the_port_and_removes_what_is_ours_in_order() -> None:
    scene = settled("west")
    port = (one_slice(scene).ports or ())[0].port
    scene.records.clear()
    plan = scene.plan()
    assert kinds(plan) == ["delete ServiceImport", "rest", "delete EndpointSlice", "delete Service"]
    assert all(step.uid for step in plan if isinstance(step, Delete))
    scene.write(plan)
    assert scene.rested == [port]
    assert scene.plan() == ()


def test_a_port_rests_before_a_slice_stops_to_claim_it() -> None:
    scene = scene_of()
    scene.records["west"] = record("west", HTTP, RecordPort(port=90, name="admin", ready=1))
    scene.settle()
    scene.records["west"] = record("west")
    plan = scene.plan()
    assert kinds(plan).index("rest") < kinds(plan).index("patch EndpointSlice")
    scene.write(plan)
    assert len(scene.rested) == 1


def test_a_port_that_another_import_claims_too_is_not_put_to_rest() -> None:
    scene = settled("west")
    (piece,) = scene.slices
    labels = {**piece.metadata.labels, "multicluster.kubernetes.io/service-name": "twin"}
    meta = {"namespace": "demo", "name": "twin.west.ipv4", "annotations": piece.metadata.annotations}
    body = {"metadata": {**meta, "labels": labels}}
    ports = [{"name": "http", "port": (piece.ports or ())[0].port, "protocol": "TCP"}]
    scene.api.put(ENDPOINT_SLICES, {**body, "addressType": "IPv4", "ports": ports, "endpoints": []})
    scene.records.clear()
    assert "rest" not in kinds(scene.plan())


FOREIGN_IMPORT = {
    "metadata": {"namespace": "demo", "name": "hello"},
    "spec": {"ports": [], "ips": ["1.2.3.4"]},
}


def test_somebodys_own_service_import_is_left_alone() -> None:
    scene = scene_of("west")
    scene.api.put(SERVICE_IMPORTS, FOREIGN_IMPORT)
    assert scene.plan() == ()
    scene.records.clear()
    assert scene.plan() == ()


def test_what_would_lean_on_somebodys_own_service_import_goes() -> None:
    scene = settled("west")
    scene.api.remove(SERVICE_IMPORTS, "hello", namespace="demo")
    scene.api.put(SERVICE_IMPORTS, FOREIGN_IMPORT)
    assert kinds(scene.plan()) == ["rest", "delete EndpointSlice", "delete Service"]
    scene.settle()
    assert scene.service_import is not None
    assert scene.service_import.spec.ips == ("1.2.3.4",)


def test_a_service_that_somebody_puts_in_the_shadows_place_gets_none_of_our_slices() -> None:
    """They carry its name already: left alone they would give it endpoints that it never asked for."""
    scene = settled("west")
    port = (one_slice(scene).ports or ())[0].port
    scene.api.remove(SERVICES, SHADOW, namespace="demo")
    body = {"metadata": {"namespace": "demo", "name": SHADOW}, "spec": {"ports": [{"port": 1}]}}
    scene.api.put(SERVICES, body)
    scene.settle()
    assert scene.slices == []
    assert scene.rested == [port]


def test_somebodys_own_service_in_the_shadows_place_is_left_alone_and_gets_no_endpoints() -> None:
    scene = scene_of("west")
    body = {"metadata": {"namespace": "demo", "name": SHADOW}, "spec": {"ports": [{"port": 1}]}}
    theirs = scene.api.put(SERVICES, body)
    scene.settle()
    assert scene.shadow == theirs
    assert scene.slices == []
    assert scene.service_import is not None
    assert scene.service_import.spec.ips == ()
    (condition,) = scene.service_import.status.conditions
    assert (condition.status, condition.reason) == ("False", "Pending")
    assert SHADOW in condition.message
    scene.records.clear()
    scene.settle()
    assert scene.shadow == theirs


def test_labels_of_others_software_stay_and_stray_ones_go() -> None:
    scene = settled("west")
    labels = {"gateway.networking.k8s.io/seen": "yes", "stray": "1"}
    meta = {"namespace": "demo", "name": "hello", "labels": labels}
    scene.api.put(SERVICE_IMPORTS, {"metadata": meta})
    scene.settle()
    assert scene.service_import is not None
    assert scene.service_import.metadata.labels == {
        LABEL_MANAGED_BY: MANAGER,
        "gateway.networking.k8s.io/seen": "yes",
    }


def test_a_crd_that_drops_the_newest_field_does_not_make_us_write_for_ever() -> None:
    scene = settled("west")
    meta = {"namespace": "demo", "name": "hello"}
    scene.api.put(SERVICE_IMPORTS, {"metadata": meta, "status": {"endpointSliceObjects": None}})
    assert scene.plan() == ()


def test_an_import_without_ports_still_spells_them() -> None:
    """The schema of a ServiceImport requires the key."""
    scene = ImportScene(records={"west": structs.replace(headless("west"), ports=())})
    (create,) = scene.plan()
    assert isinstance(create, Create)
    assert create.kind is Kind.SERVICE_IMPORT
    assert create.body["spec"]["ports"] == []
    assert create.body["spec"]["ips"] == []
    assert create.body["spec"]["type"] == "Headless"
    scene.settle()
    assert scene.shadow is None


def test_a_slice_is_never_moved_to_another_service_but_made_anew() -> None:
    """kube-proxy keeps a slice under the Service that it was for when it first saw it."""
    scene = settled("west")
    piece = one_slice(scene)
    meta = {"namespace": "demo", "name": piece.metadata.name}
    scene.api.put(ENDPOINT_SLICES, {"metadata": {**meta, "labels": {LABEL_KUBERNETES_SERVICE: "other"}}})
    assert kinds(scene.plan()) == ["rest", "delete EndpointSlice"]
    scene.settle()
    assert one_slice(scene).metadata.labels == piece.metadata.labels
    assert one_slice(scene).ports == piece.ports
    assert one_slice(scene).metadata.uid != piece.metadata.uid


@pytest.mark.parametrize("missing", [(), ("10.1.0.9",)])
def test_gateways_that_are_not_ready_are_not_listed(missing: Sequence[str]) -> None:
    scene = settled("west")
    scene.gateways = tuple(missing)
    scene.settle()
    piece = one_slice(scene)
    assert [endpoint.addresses[0] for endpoint in piece.endpoints or ()] == list(missing)
    assert [port.name for port in piece.ports or ()] == ["http"], "the claim on the port stays"


def test_an_unnamed_port_is_carried() -> None:
    scene = scene_of()
    scene.records["west"] = record("west", RecordPort(port=80, ready=1))
    scene.settle()
    (port,) = one_slice(scene).ports or ()
    assert port == EndpointPort(name="", protocol="TCP", port=port.port)
