"""Corners in which a layout must not blank or reset what works: found by a hostile review."""

from msgspec import structs

from mesh_core.names import (
    LABEL_KUBERNETES_SERVICE,
    LABEL_LANE,
    LABEL_SERVICE,
    LABEL_SLICE_MANAGED_BY,
    MANAGER,
)
from mesh_core.objects import EndpointPort, EndpointSlice, Meta
from mesh_core.ports import claims_of
from mesh_core.record import RecordPort, ShardEndpoint, ShardPort
from mesh_fakes.exports import endpoint, record, shard
from mesh_fakes.import_scene import ImportScene

HTTP = RecordPort(port=80, name="http", ready=2)
GRPC = RecordPort(port=90, name="grpc", ready=1)
POD_PORTS = (ShardPort(port=8080, name="http"),)


def names(scene: ImportScene) -> list[str]:
    return sorted(piece.metadata.name for piece in scene.slices)


def listed_ports(scene: ImportScene) -> set[str]:
    return {port.name or "" for piece in scene.slices for port in piece.ports or ()}


def test_a_port_that_nobody_behind_the_gateways_has_ready_takes_nothing_from_pods_here() -> None:
    scene = ImportScene(records={"north": record("north", HTTP, structs.replace(GRPC, ready=0))})
    scene.settle()
    assert listed_ports(scene) == {"http"}
    scene.records["north"] = record("north", HTTP, GRPC)
    scene.settle()
    assert listed_ports(scene) == {"grpc", "http"}


def test_a_neighbour_whose_endpoints_have_not_come_is_reached_through_the_gateways() -> None:
    scene = ImportScene(records={"west": record("west", HTTP)})
    scene.settle()
    scene.neighbours = frozenset({"west"})
    assert scene.plan() == (), "nothing is blanked while they are on their way"
    closed = ShardEndpoint(address="10.9.0.1", ready=False, serving=False)
    scene.shards = [shard("west", closed, ports=POD_PORTS)]
    scene.settle()
    assert names(scene) == ["hello.west.ipv4"], "what is here is nothing that works"
    pods = (ShardEndpoint(address="10.9.0.2"), ShardEndpoint(address="10.9.0.3"))
    scene.shards = [shard("west", *pods, ports=POD_PORTS)]
    scene.settle()
    assert names(scene) == ["hello.west.aaaaaaaaaa"]


def test_a_neighbour_without_ready_endpoints_needs_no_gateway() -> None:
    scene = ImportScene(records={"west": record("west", structs.replace(HTTP, ready=0))})
    scene.neighbours = frozenset({"west"})
    scene.settle()
    assert names(scene) == []


def local_first(cluster: str, *ports: RecordPort, created: str = "2026-01-01T00:00:00Z") -> ImportScene:
    scene = ImportScene()
    scene.records[cluster] = structs.replace(record(cluster, *ports, created=created), traffic="local-first")
    return scene


def test_local_first_keeps_what_is_not_here() -> None:
    """Our export lacks a port that another has: callers of that port must still reach it."""
    scene = local_first("east", HTTP)
    scene.records["west"] = record("west", HTTP, GRPC, created="2026-02-01T00:00:00Z")
    scene.has_pods(endpoint("10.2.0.1"))
    scene.settle()
    assert "hello.west.ipv4" in names(scene)
    assert "hello.west.ipv4.aside" not in names(scene)


def test_local_first_of_a_stranger_does_not_blank_an_exporter_whose_port_lost() -> None:
    scene = local_first("west", structs.replace(HTTP, port=8080), created="1970-01-01T00:00:00Z")
    scene.records["east"] = record("east", HTTP)
    scene.has_pods(endpoint("10.2.0.1"))
    scene.settle()
    assert names(scene) == ["hello.west.ipv4"]


def test_a_lane_that_no_import_has_claims_nothing() -> None:
    """Whoever may write slices in a namespace could make us ask for every port there is."""
    for number, claimed in (("1", 1), ("7", 1), ("8", 0), ("0", 0), ("20000", 0), ("\u0661", 0), ("-1", 0)):
        labels = {
            LABEL_SLICE_MANAGED_BY: MANAGER,
            LABEL_SERVICE: "hello",
            LABEL_LANE: number,
            LABEL_KUBERNETES_SERVICE: "derived-x",
        }
        meta = Meta(name="x", namespace="demo", uid="u", labels=labels)
        piece = EndpointSlice(metadata=meta, ports=(EndpointPort(name="http", port=20000),))
        assert len(claims_of(piece, cluster="east")) == claimed, number
