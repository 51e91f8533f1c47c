"""What stands of an import while a cluster that exports it cannot be reached (ruling 8)."""

import json

import pytest

from mesh_core.names import ANNOTATION_READY_ENDPOINTS, LABEL_SOURCE_CLUSTER
from mesh_core.objects import EndpointSlice
from mesh_core.plan import Kind, Patch
from mesh_core.record import RecordPort, ShardEndpoint, ShardPort
from mesh_fakes.exports import endpoint, headless, record, shard
from mesh_fakes.import_scene import ImportScene, behind, by_endpoint, listing

HTTP = (ShardPort(port=8080, name="http"),)
SIX = RecordPort(port=80, name="http", ready=6)
DB_0 = ShardEndpoint(address="10.9.0.1", hostname="db-0")


def conditions(*pieces: EndpointSlice) -> set[tuple[bool | None, bool | None]]:
    return {(e.conditions.ready, e.conditions.serving) for piece in pieces for e in piece.endpoints or ()}


def from_cluster(scene: ImportScene, cluster: str) -> list[EndpointSlice]:
    return [s for s in scene.slices if s.metadata.labels.get(LABEL_SOURCE_CLUSTER) == cluster]


def counts(scene: ImportScene, cluster: str) -> dict[str, int]:
    (piece,) = from_cluster(scene, cluster)
    found: dict[str, int] = json.loads(piece.metadata.annotations[ANNOTATION_READY_ENDPOINTS])
    return found


def what_stays(scene: ImportScene) -> object:
    """Everything but conditions, counts and versions."""
    seen, shadow = scene.service_import, scene.shadow
    assert seen is not None
    pieces = sorted(
        (s.key, s.metadata.uid, s.ports, [e.addresses for e in s.endpoints or ()]) for s in scene.slices
    )
    stand_ins = sorted((s.metadata.name, s.metadata.uid, s.spec) for s in scene.stand_ins)
    return seen.metadata.uid, seen.spec, seen.status, shadow and shadow.spec, pieces, stand_ins


def withdraw(scene: ImportScene, *clusters: str) -> None:
    """Withdraw these; nothing but slices is patched, and a second look changes nothing."""
    before = what_stays(scene)
    scene.withdrawn = frozenset(clusters)
    plan = scene.plan()
    assert plan, "somebody must be told"
    assert all(isinstance(step, Patch) and step.kind is Kind.ENDPOINT_SLICE for step in plan)
    scene.settle()
    assert what_stays(scene) == before
    assert not scene.rested


def test_through_gateways_the_last_one_reached_takes_readiness_with_it_and_brings_it_back() -> None:
    scene = ImportScene(records={"west": record("west"), "north": record("north")})
    scene.settle()
    whole = what_stays(scene)
    withdraw(scene, "west")
    assert counts(scene, "west") == {"http": 0}
    assert counts(scene, "north") == {"http": 2}
    assert conditions(*scene.slices) == {(True, True)}, "north is still behind the same address and port"
    withdraw(scene, "west", "north")
    assert conditions(*scene.slices) == {(False, False)}
    scene.withdrawn = frozenset()
    scene.settle()
    assert conditions(*scene.slices) == {(True, True)}
    assert counts(scene, "west") == {"http": 2}
    assert what_stays(scene) == whole


def test_beside_local_pods_the_lanes_stay_however_long_nobody_is_reached() -> None:
    # settled: the lanes may be changed at once, if they were off.
    scene = ImportScene(records={"east": record("east"), "west": record("west")}, gateways=("10.1.0.8",))
    scene.has_pods(endpoint("10.2.0.1"))
    scene.records["west"] = record("west", SIX)
    scene.settle()
    lanes = len(scene.slices)
    assert lanes > 3
    withdraw(scene, "west")
    assert len(scene.slices) == lanes
    assert conditions(*from_cluster(scene, "east")) == {(True, True)}
    gateways = [s for s in scene.slices if s not in from_cluster(scene, "east")]
    assert conditions(*gateways) == {(False, False)}


def test_a_neighbours_endpoints_stay_listed_and_neither_ready_nor_serving() -> None:
    leaving = ShardEndpoint(address="10.9.0.2", ready=False, serving=True, terminating=True)
    scene = ImportScene(
        records={"east": record("east"), "west": record("west"), "north": record("north")},
        shards=[
            shard("west", ShardEndpoint(address="10.9.0.1"), leaving, ports=HTTP),
            shard("north", ShardEndpoint(address="10.8.0.1"), ports=HTTP),
        ],
        neighbours=frozenset({"west", "north"}),
    )
    scene.has_pods(endpoint("10.2.0.1"))
    scene.settle()
    withdraw(scene, "west")
    assert conditions(*from_cluster(scene, "west")) == {(False, False)}
    terminating = [e.conditions.terminating for s in from_cluster(scene, "west") for e in s.endpoints or ()]
    assert terminating == [False, True]
    assert conditions(*from_cluster(scene, "north")) == {(True, True)}
    assert conditions(*from_cluster(scene, "east")) == {(True, True)}


def test_a_neighbour_whose_endpoints_are_not_all_known_yet_keeps_its_way_when_it_is_withdrawn() -> None:
    scene = ImportScene(
        records={"west": record("west", SIX)},
        shards=[shard("west", ShardEndpoint(address="10.9.0.1"), ports=HTTP)],
        neighbours=frozenset({"west"}),
    )
    scene.settle()
    withdraw(scene, "west")
    assert conditions(*scene.slices) == {(False, False)}


def test_a_withdrawn_neighbour_has_no_weight_beside_the_gateways() -> None:
    scene = ImportScene(
        records={"west": record("west"), "north": record("north", SIX)},
        shards=[shard("west", ShardEndpoint(address="10.9.0.1"), ports=HTTP)],
        neighbours=frozenset({"west"}),
        gateways=("10.1.0.8",),
    )
    scene.settle()
    assert any("lane" in piece.metadata.name for piece in scene.slices)
    scene.withdrawn = frozenset({"west"})
    scene.settle()
    assert not any("lane" in piece.metadata.name for piece in scene.slices)


def test_stand_ins_keep_their_addresses_and_let_nobody_through_and_the_listing_says_so_too() -> None:
    scene = ImportScene(records={"west": headless("west")}, shards=[shard("west", DB_0)])
    scene.settle()
    addresses = {name: service.spec.cluster_ip for name, service in by_endpoint(scene).items()}
    withdraw(scene, "west")
    assert conditions(behind(scene, "db-0")) == {(False, False)}
    assert conditions(*listing(scene)) == {(False, False)}
    assert {name: s.spec.cluster_ip for name, s in by_endpoint(scene).items()} == addresses
    scene.withdrawn = frozenset()
    scene.settle()
    assert conditions(behind(scene, "db-0"), *listing(scene)) == {(True, True)}


@pytest.mark.parametrize("cluster", ["east", "south"])
def test_words_about_who_does_not_export_it_change_nothing(cluster: str) -> None:
    scene = ImportScene(records={"west": record("west")})
    scene.settle()
    scene.withdrawn = frozenset({cluster})
    assert scene.plan() == ()
