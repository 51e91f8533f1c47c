"""Plans over random histories: whatever happened before, one state of the world gives one import."""

from collections.abc import Callable

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_core.import_view import is_ours
from mesh_core.merge import merge
from mesh_core.names import LABEL_KUBERNETES_SERVICE, LABEL_SOURCE_CLUSTER
from mesh_core.objects import Endpoint
from mesh_core.plan import as_json
from mesh_core.record import RecordPort
from mesh_fakes.exports import endpoint, record
from mesh_fakes.import_scene import SHADOW, ImportScene
from mesh_fakes.member_api import MemberApi
from mesh_runtime.kube import ENDPOINT_SLICES, SERVICE_IMPORTS, SERVICES

Deed = Callable[[ImportScene], None]

PORTS = (
    RecordPort(port=80, name="http", ready=2),
    RecordPort(port=80, name="http", ready=0),
    RecordPort(port=81, name="http", ready=1),
    RecordPort(port=90, name="admin", ready=1),
)


def exports(cluster: str, numbers: list[int], created: str) -> Deed:
    chosen = {PORTS[number].name: PORTS[number] for number in numbers}

    def deed(scene: ImportScene) -> None:
        scene.records[cluster] = record(cluster, *chosen.values(), created=created)

    return deed


def unexports(cluster: str) -> Deed:
    def deed(scene: ImportScene) -> None:
        scene.records.pop(cluster, None)

    return deed


def write_source(api: MemberApi, endpoints: list[Endpoint]) -> None:
    """The Service's own slice, as the EndpointSlice controller would have it."""
    body = {
        "metadata": {
            "namespace": "demo",
            "name": "hello-abcde",
            "labels": {LABEL_KUBERNETES_SERVICE: "hello"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": as_json(tuple(endpoints)),
    }
    api.put(ENDPOINT_SLICES, body)


def has_pods(number: int, ready: bool) -> Deed:
    pods = [endpoint(f"10.2.{n // 200}.{n % 200}", ready=ready) for n in range(number)]
    return lambda scene: write_source(scene.api, pods)


def has_gateways(number: int) -> Deed:
    def deed(scene: ImportScene) -> None:
        scene.gateways = tuple(f"10.1.0.{n}" for n in range(number))

    return deed


def loses_import(scene: ImportScene) -> None:
    if scene.service_import is not None:
        scene.api.remove(SERVICE_IMPORTS, "hello", namespace="demo")


def loses_shadow(scene: ImportScene) -> None:
    if scene.shadow is not None:
        scene.api.remove(SERVICES, SHADOW, namespace="demo")


def loses_a_slice(scene: ImportScene) -> None:
    for piece in scene.slices[:1]:
        scene.api.remove(ENDPOINT_SLICES, piece.metadata.name, namespace="demo")


def is_tampered_with(scene: ImportScene) -> None:
    meta = {"namespace": "demo", "name": "hello"}
    if scene.service_import is not None:
        labels = {"stray": "label"}
        spec = {"sessionAffinity": "ClientIP", "ips": ["192.0.2.1"]}
        scene.api.put(SERVICE_IMPORTS, {"metadata": {**meta, "labels": labels}, "spec": spec})
    for piece in scene.slices[:1]:
        scene.api.put(ENDPOINT_SLICES, {"metadata": {**meta, "name": piece.metadata.name}, "endpoints": []})


def plan_is_cut_off(steps: int) -> Deed:
    return lambda scene: scene.write(scene.plan()[:steps])


clusters = st.sampled_from(["east", "west", "north"])
deeds: st.SearchStrategy[Deed] = st.one_of(
    st.builds(
        exports,
        clusters,
        st.lists(st.integers(0, 3), min_size=1, max_size=2),
        st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
    ),
    st.builds(unexports, clusters),
    st.builds(has_pods, st.sampled_from([0, 1, 3, 100, 101, 250]), st.booleans()),
    st.builds(has_gateways, st.integers(0, 3)),
    st.builds(plan_is_cut_off, st.integers(0, 3)),
    st.sampled_from([loses_import, loses_shadow, loses_a_slice, is_tampered_with, ImportScene.settle]),
)


def make_bystanders(scene: ImportScene) -> dict[str, str]:
    """Objects of somebody else, with names like ours; their versions."""
    labels = {"app": "theirs"}
    meta = {"namespace": "demo", "labels": labels}
    scene.api.put(SERVICES, {"metadata": {**meta, "name": "hello"}, "spec": {"ports": [{"port": 80}]}})
    scene.api.put(SERVICES, {"metadata": {**meta, "name": "derived-else"}, "spec": {"ports": []}})
    scene.api.put(SERVICE_IMPORTS, {"metadata": {**meta, "name": "other"}, "spec": {"ports": []}})
    scene.api.put(ENDPOINT_SLICES, {"metadata": {**meta, "name": "hello.else"}, "endpoints": []})
    return scene.api.versions()


def check(scene: ImportScene) -> None:
    """What holds whenever there is nothing left to write."""
    merged = merge(scene.records.values())
    seen = scene.service_import
    if merged is None:
        assert (seen, scene.shadow, scene.slices) == (None, None, [])
        return
    assert seen is not None
    assert scene.shadow is not None
    assert is_ours(seen)
    wanted = msgspec.structs.replace(
        merged.spec, ips=scene.shadow.spec.cluster_ips, ip_families=scene.shadow.spec.ip_families
    )
    assert seen.spec == wanted
    assert len(seen.spec.ips) == len(seen.spec.ip_families) == 1
    assert scene.shadow.metadata.owner_references[0].uid == seen.metadata.uid
    assert [entry.cluster for entry in seen.status.clusters] == sorted(scene.records)
    assert seen.status.endpoint_slice_objects == "Present"
    remote = {c for c, served in merged.serving.items() if c != "east" and served}
    sources = [piece.metadata.labels[LABEL_SOURCE_CLUSTER] for piece in scene.slices]
    assert sorted(source for source in sources if source != "east") == sorted(remote)
    for piece in scene.slices:
        assert piece.metadata.labels[LABEL_KUBERNETES_SERVICE] == SHADOW
        assert len(piece.endpoints or ()) <= 100
    by_name = {
        port.name: port.port
        for piece in scene.slices
        if piece.metadata.labels[LABEL_SOURCE_CLUSTER] != "east"
        for port in piece.ports or ()
    }
    assert len(set(by_name.values())) == len(by_name), "two ports of a service share an egress port"


@settings(max_examples=250, deadline=None)
@given(history=st.lists(deeds, max_size=12))
def test_after_any_history_the_import_is_what_the_records_say_and_the_next_plan_is_empty(
    history: list[Deed],
) -> None:
    scene = ImportScene()
    bystanders = make_bystanders(scene)
    for deed in history:
        deed(scene)
    scene.settle()
    check(scene)
    versions = scene.api.versions()
    assert scene.plan() == ()
    assert scene.api.versions() == versions
    assert bystanders.items() <= versions.items(), "somebody else's object was touched"


@settings(max_examples=60, deadline=None)
@given(history=st.lists(deeds, max_size=10))
def test_ips_stay_for_the_life_of_an_import(history: list[Deed]) -> None:
    scene = ImportScene()
    scene.records["west"] = record("west")
    scene.settle()
    first = scene.service_import
    assert first is not None
    tampering = (loses_import, is_tampered_with)
    for deed in history:
        if deed not in tampering:
            deed(scene)
        scene.records.setdefault("west", record("west"))
        scene.settle()
        assert scene.service_import is not None
        assert scene.service_import.spec.ips == first.spec.ips


@settings(max_examples=60, deadline=None)
@given(history=st.lists(deeds, max_size=10))
def test_nothing_is_written_while_the_namespace_is_missing_or_being_deleted(history: list[Deed]) -> None:
    scene = ImportScene()
    for deed in history:
        deed(scene)
    scene.api.namespace("demo", phase="Terminating")
    assert scene.plan() == ()
