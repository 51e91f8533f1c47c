"""Plans over random histories: whatever happened before, one state of the world gives one import."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from mesh_core.import_view import is_open, is_ours
from mesh_core.merge import merge
from mesh_core.names import (
    ANNOTATION_READY_ENDPOINTS,
    LABEL_ENDPOINT,
    LABEL_KUBERNETES_SERVICE,
    LABEL_LANE,
    LABEL_SERVICE_NAME,
    LABEL_SOURCE_CLUSTER,
    SYSTEM_NAMESPACE,
)
from mesh_core.objects import EndpointSlice
from mesh_core.plan import Create, Delete, Patch, as_json
from mesh_core.ports import ClaimTable, claims_of
from mesh_core.record import ExportRecord, ShardEndpoint
from mesh_core.stand_ins import KEPT, gone_since
from mesh_fakes.exports import headless, record, shard
from mesh_fakes.import_deeds import (
    Deed,
    deeds,
    exports,
    is_tampered_with,
    loses_import,
    loses_shadow,
    namespace_comes_back,
    namespace_vanishes,
    plan_is_cut_off,
)
from mesh_fakes.import_scene import SHADOW, ImportScene
from mesh_runtime.kube import ENDPOINT_SLICES, NAMESPACES, SERVICE_IMPORTS, SERVICES

State = dict[str, object]


def make_bystanders(scene: ImportScene) -> set[str]:
    """Objects of somebody else, with names like ours; their paths."""
    meta = {"namespace": "demo", "labels": {"app": "theirs"}}
    before = set(scene.api.versions())
    scene.api.put(SERVICES, {"metadata": {**meta, "name": "hello"}, "spec": {"ports": [{"port": 80}]}})
    scene.api.put(SERVICES, {"metadata": {**meta, "name": "derived-else"}, "spec": {"ports": []}})
    scene.api.put(SERVICE_IMPORTS, {"metadata": {**meta, "name": "other"}, "spec": {"ports": []}})
    scene.api.put(ENDPOINT_SLICES, {"metadata": {**meta, "name": "hello.else"}, "endpoints": []})
    meta = {"namespace": SYSTEM_NAMESPACE, "labels": {LABEL_ENDPOINT: "db-0"}}
    scene.api.put(SERVICES, {"metadata": {**meta, "name": "stand-in-else"}, "spec": {"ports": []}})
    return set(scene.api.versions()) - before


def written_to(scene: ImportScene) -> set[str]:
    """The paths that plans wrote to."""
    return {path for who, _method, path in scene.api.requests if who == "us"}


def is_home(scene: ImportScene) -> bool:
    return is_open(scene.api.find(NAMESPACES, "demo"))


def check(scene: ImportScene) -> None:
    """What holds whenever there is nothing left to write."""
    merged = merge(scene.records.values())
    seen = scene.service_import
    if merged is None or not is_home(scene):
        assert (seen, scene.shadow, scene.slices, scene.stand_ins) == (None, None, [], [])
        return
    assert seen is not None
    assert is_ours(seen)
    ips: tuple[str, ...] = ()
    families = merged.spec.ip_families
    if merged.spec.type == "Headless":
        check_leftover(scene)
    else:
        assert scene.shadow is not None
        assert scene.stand_ins == []
        ips, families = scene.shadow.spec.cluster_ips, scene.shadow.spec.ip_families
        assert len(ips) == len(families) == 1
    assert seen.spec == structs.replace(merged.spec, ips=ips, ip_families=families)
    assert [entry.cluster for entry in seen.status.clusters] == sorted(scene.records)
    assert seen.status.endpoint_slice_objects == "Present"
    check_slices(scene)


def check_leftover(scene: ImportScene) -> None:
    """A headless import has no shadow Service, but for one of a time before, which has a while to go."""
    if scene.shadow is None:
        return
    since = gone_since(scene.shadow)
    assert since is not None, "it would stay for ever"
    assert since <= scene.now < since + KEPT
    assert all(piece.metadata.labels.get(LABEL_KUBERNETES_SERVICE) != SHADOW for piece in scene.slices)


def check_slices(scene: ImportScene) -> None:
    table = ClaimTable()
    usable = {cluster for cluster, told in scene.records.items() if told.allows("east")}
    names = {service.metadata.name for service in scene.stand_ins}
    for piece in scene.slices:
        labels = piece.metadata.labels
        assert len(piece.endpoints or ()) <= 100
        assert LABEL_SERVICE_NAME not in labels or labels[LABEL_SOURCE_CLUSTER] in usable
        assert piece.metadata.namespace != SYSTEM_NAMESPACE or LABEL_SERVICE_NAME not in labels
        assert labels.get(LABEL_KUBERNETES_SERVICE, SHADOW) in {SHADOW, *names}
        table.change(piece.key, claims=claims_of(piece, cluster="east"))
    targets = [table.claimants(port) for port in table.ports()]
    assert all(len(claimants) == 1 for claimants in targets), "two targets share an egress port"
    assert len(set(targets)) == len(targets), "a target has two egress ports"


def state_of(scene: ImportScene) -> State:
    """What stands in the cluster, but for what may differ from one life of an import to the next: IPs,
    numbers of egress ports, lanes (they lag on purpose), and what is kept for a while."""
    seen, shadow = scene.service_import, scene.shadow
    state: State = {}
    if seen is not None:
        spec = structs.replace(seen.spec, ips=("an IP",) * len(seen.spec.ips))
        said = [(one.type, one.status, one.reason, one.message) for one in seen.status.conditions]
        meta = (seen.metadata.labels, seen.metadata.annotations)
        state["import"] = (meta, as_json(spec), as_json(seen.status.clusters), said)
    if shadow is not None and gone_since(shadow) is None:
        nowhere = structs.replace(shadow.spec, cluster_ip="", cluster_ips=())
        state["shadow"] = (shadow.metadata.labels, as_json(nowhere))
    there = [service for service in scene.stand_ins if gone_since(service) is None]
    for service in there:
        state[service.metadata.name] = (service.metadata.labels, as_json(service.spec.ports))
    leading = {service.metadata.name for service in scene.stand_ins} - {s.metadata.name for s in there}
    ips = {service.spec.cluster_ip for service in there}
    for piece in scene.slices:
        labels = piece.metadata.labels
        if labels.get(LABEL_KUBERNETES_SERVICE) not in leading and LABEL_LANE not in labels:
            state["/".join(piece.key)] = shown(piece, ips=ips)
    return state


def shown(piece: EndpointSlice, *, ips: set[str]) -> tuple[object, ...]:
    meta = piece.metadata
    ports: list[object] = [
        (port.name, "egress" if claims_of(piece, cluster="east") else port.port) for port in piece.ports or ()
    ]
    found = piece.endpoints or ()
    if ANNOTATION_READY_ENDPOINTS in meta.annotations:
        # How many gateways are listed lags as lanes do.
        endpoints = sorted({str((one.conditions, one.hints)) for one in found})
    else:
        hidden = [structs.replace(o, addresses=("an IP",)) if o.addresses[0] in ips else o for o in found]
        endpoints = as_json(tuple(hidden))
    return meta.labels, meta.annotations, piece.address_type, ports, endpoints


def fresh(scene: ImportScene) -> ImportScene:
    """A cluster that never knew anything but how the world is now."""
    other = ImportScene(
        records=dict(scene.records),
        shards=list(scene.shards),
        neighbours=scene.neighbours,
        gateways=scene.gateways,
        now=scene.now,
    )
    for piece in scene.api.all(ENDPOINT_SLICES):
        if piece.metadata.labels.get(LABEL_KUBERNETES_SERVICE) == "hello":
            other.api.put(ENDPOINT_SLICES, msgspec.to_builtins(piece))
    if not is_home(scene):
        namespace_vanishes(other)
    other.settle()
    return other


@settings(max_examples=250, deadline=None)
@given(history=st.lists(deeds, max_size=12))
@example(history=[exports("east", [0]), plan_is_cut_off(1), exports("east", [0], type="Headless")])
@example(history=[exports("west", [0]), ImportScene.settle, exports("west", [0], type="Headless")])
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
    assert state_of(scene) == state_of(fresh(scene))
    scene.now += KEPT
    scene.settle()
    check(scene)
    assert scene.shadow is None or gone_since(scene.shadow) is None, "kept for longer than its time"
    scene.records.clear()
    scene.settle()
    check(scene)
    assert not bystanders & written_to(scene), "somebody else's object was touched"


@settings(max_examples=60, deadline=None)
@given(history=st.lists(deeds, max_size=10))
def test_ips_stay_for_the_life_of_an_import(history: list[Deed]) -> None:
    scene = ImportScene()
    oldest = record("west", created="2025-01-01T00:00:00Z")
    scene.records["west"] = oldest
    scene.settle()
    first = scene.service_import
    assert first is not None
    ends_its_life = (is_tampered_with, namespace_vanishes)
    for deed in history:
        if deed not in ends_its_life:
            deed(scene)
        scene.records["west"] = oldest
        scene.settle()
        assert scene.service_import is not None
        assert scene.service_import.spec.ips == first.spec.ips


@pytest.mark.parametrize("loss", [loses_import, loses_shadow])
def test_what_is_lost_comes_back_with_the_same_ips(loss: Deed) -> None:
    scene = ImportScene(records={"west": record("west")})
    scene.settle()
    first = scene.service_import
    loss(scene)
    scene.settle()
    assert first is not None
    assert scene.service_import is not None
    assert scene.service_import.spec == first.spec


@settings(max_examples=60, deadline=None)
@given(history=st.lists(deeds, max_size=10))
def test_while_the_namespace_is_missing_or_being_deleted_stand_ins_go_and_nothing_is_written_in_it(
    history: list[Deed],
) -> None:
    scene = ImportScene()
    for deed in history:
        deed(scene)
    scene.api.namespace("demo", phase="Terminating")
    while plan := scene.plan():
        steps = [step for step in plan if isinstance(step, Create | Patch | Delete)]
        assert all(isinstance(step, Delete) and step.namespace == SYSTEM_NAMESPACE for step in steps)
        scene.write(plan)
    assert scene.stand_ins == []
    namespace_vanishes(scene)
    assert scene.plan() == ()
    namespace_comes_back(scene)
    scene.settle()
    check(scene)


@pytest.mark.parametrize("kind", ["Headless", "ClusterSetIP"])
def test_a_namespace_that_comes_back_gets_everything_again(kind: str) -> None:
    scene = ImportScene(records={"west": headless("west") if kind == "Headless" else record("west")})
    scene.shards = [shard("west", ShardEndpoint(address="10.9.0.1", hostname="db-0"))]
    scene.settle()
    before = state_of(scene)
    namespace_vanishes(scene)
    scene.settle()
    assert (scene.stand_ins, scene.slices) == ([], [])
    namespace_comes_back(scene)
    scene.settle()
    assert state_of(scene) == before


def cut_off_before_its_import_names_the_shadow() -> ImportScene:
    """The shadow Service was made, and the next write failed."""
    scene = ImportScene(records={"west": record("west")})
    plan_is_cut_off(1)(scene)
    assert scene.shadow is not None
    assert scene.service_import is None
    return scene


def test_a_shadow_service_that_no_import_names_yet_goes_in_its_time_when_the_import_turns_headless() -> None:
    """It was thought to stay for ever: the law of the histories knew nothing of the while that it is kept."""
    scene = cut_off_before_its_import_names_the_shadow()
    scene.records["west"] = headless("west")
    scene.settle()
    check(scene)
    scene.now += KEPT - timedelta(seconds=1)
    assert scene.plan() == ()
    scene.now += timedelta(seconds=1)
    scene.settle()
    assert scene.shadow is None
    assert scene.service_import is not None


def test_a_shadow_service_that_no_import_names_yet_is_the_one_of_the_import_that_has_ips_again() -> None:
    scene = cut_off_before_its_import_names_the_shadow()
    assert scene.shadow is not None
    made = scene.shadow.spec.cluster_ips
    for told in (headless("west"), record("west")):
        scene.records["west"] = told
        scene.settle()
        check(scene)
    assert scene.service_import is not None
    assert scene.service_import.spec.ips == made


def test_a_shadow_service_that_no_import_names_yet_goes_at_once_when_nobody_exports() -> None:
    scene = cut_off_before_its_import_names_the_shadow()
    scene.records.clear()
    scene.settle()
    check(scene)


@pytest.mark.parametrize("told", [None, headless("west")])
def test_somebody_elses_service_with_the_name_of_a_shadow_outlives_every_import(
    told: ExportRecord | None,
) -> None:
    scene = cut_off_before_its_import_names_the_shadow()
    loses_shadow(scene)
    theirs = {"metadata": {"namespace": "demo", "name": SHADOW}, "spec": {"ports": [{"port": 80}]}}
    scene.api.put(SERVICES, theirs)
    before = scene.shadow
    scene.records = {} if told is None else {"west": told}
    for _ in range(2):
        scene.settle()
        scene.now += KEPT
    assert scene.shadow == before
