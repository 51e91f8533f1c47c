"""Who is reached how, who is set aside, and with how many ways to the gateways (rulings 21, 22 and 26)."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from mesh_core.layout import lanes_are_off
from mesh_core.merge import merge
from mesh_core.names import (
    ANNOTATION_READY_ENDPOINTS,
    LABEL_KUBERNETES_SERVICE,
    LABEL_LANE,
    LABEL_SERVICE_NAME,
    LABEL_SOURCE_CLUSTER,
)
from mesh_core.objects import EndpointSlice
from mesh_core.plan import Create, Delete, Kind, Patch, Plan, Rest
from mesh_core.ports import ClaimTable, claims_of
from mesh_core.record import ExportRecord, RecordPort, ShardEndpoint, ShardPort
from mesh_fakes.exports import endpoint, record, service, shard
from mesh_fakes.import_scene import ImportScene

HTTP = (ShardPort(port=8080, name="http"),)


def exported(cluster: str, *, ready: int = 2) -> ExportRecord:
    return record(cluster, RecordPort(port=80, name="http", ready=ready))


def scene_of(*records: ExportRecord, pods: int = 1, gateways: int = 2) -> ImportScene:
    scene = ImportScene(records={told.cluster: told for told in records})
    scene.gateways = tuple(f"10.1.0.{number + 8}" for number in range(gateways))
    has_pods(scene, pods)
    scene.settle()
    return scene


def has_pods(scene: ImportScene, number: int, *, ready: bool = True) -> None:
    scene.has_pods(*(endpoint(f"10.2.0.{n + 1}", ready=ready) for n in range(number)))


def is_used(piece: EndpointSlice) -> bool:
    """Whether kube-proxy uses the slice."""
    return LABEL_KUBERNETES_SERVICE in piece.metadata.labels


def from_clusters(scene: ImportScene, *, used: bool) -> set[str]:
    """The clusters with slices for the MCS API that kube-proxy uses, or does not."""
    labels = [piece.metadata.labels for piece in scene.slices if is_used(piece) == used]
    return {found[LABEL_SOURCE_CLUSTER] for found in labels if LABEL_SERVICE_NAME in found}


def ways(scene: ImportScene) -> list[tuple[str, int]]:
    """What kube-proxy has for endpoints: equal address and port counts once."""
    found = {
        (one.addresses[0], port.port or 0)
        for piece in scene.slices
        if is_used(piece)
        for one in piece.endpoints or ()
        if one.is_ready
        for port in piece.ports or ()
    }
    return sorted(found)


def to_the_mesh(scene: ImportScene) -> int:
    return sum(address.startswith("10.1.") for address, _port in ways(scene))


def rested(plan: Plan) -> list[int]:
    return [port for step in plan if isinstance(step, Rest) for port in step.ports]


def local_first(told: ExportRecord) -> ExportRecord:
    return structs.replace(told, traffic="local-first")


def test_balanced_lists_everybody() -> None:
    scene = scene_of(exported("east"), exported("west"), exported("north"))
    assert from_clusters(scene, used=True) == {"east", "west", "north"}
    assert from_clusters(scene, used=False) == set()


def test_local_first_sets_others_aside_while_a_local_endpoint_is_ready() -> None:
    scene = scene_of(local_first(exported("east")), exported("west"), pods=2)
    assert from_clusters(scene, used=True) == {"east"}
    assert from_clusters(scene, used=False) == {"west"}
    (aside,) = [piece for piece in scene.slices if not is_used(piece)]
    assert aside.metadata.name == "hello.west.ipv4.aside"
    assert aside.metadata.labels[LABEL_SERVICE_NAME] == "hello", "readers of the MCS API see it all the same"
    assert ANNOTATION_READY_ENDPOINTS in aside.metadata.annotations
    assert (aside.ports or ())[0].port in range(16384, 32768), "its port is held for the day it is needed"


@pytest.mark.parametrize("to_remote", [True, False])
def test_local_first_makes_before_it_breaks_and_rests_no_port(to_remote: bool) -> None:
    scene = scene_of(local_first(exported("east")), exported("west"), pods=2)
    has_pods(scene, 2, ready=to_remote)
    scene.settle()
    before = {port.port for piece in scene.slices if not is_used(piece) for port in piece.ports or ()}
    has_pods(scene, 2, ready=not to_remote)
    plan = scene.plan()
    steps = [step for step in plan if isinstance(step, Create | Delete)]
    assert [type(step) for step in steps] == [Create, Delete]
    assert rested(plan) == []
    made, gone = steps
    assert isinstance(made, Create)
    assert isinstance(gone, Delete)
    names = ["hello.west.ipv4", "hello.west.ipv4.aside"]
    assert [made.body["metadata"]["name"], gone.name] == (names if to_remote else names[::-1])
    scene.settle()
    assert scene.rested == []
    assert before <= {port.port for piece in scene.slices for port in piece.ports or ()}
    assert from_clusters(scene, used=True) == {"east", *(["west"] if to_remote else [])}


def test_a_slice_never_changes_the_service_that_it_is_for() -> None:
    """kube-proxy does not notice; so a slice that is set aside is another slice."""
    scene = scene_of(local_first(exported("east")), exported("west"), pods=2)
    for ready in (False, True, False):
        has_pods(scene, 2, ready=ready)
        while plan := scene.plan():
            changed = [step for step in plan if isinstance(step, Patch) and step.kind is Kind.ENDPOINT_SLICE]
            assert all("labels" not in step.body.get("metadata", {}) for step in changed)
            scene.write(plan)


@pytest.mark.parametrize("ready", [True, False])
def test_internal_traffic_policy_local_lists_local_pods_only_ruling_21(ready: bool) -> None:
    oldest = structs.replace(exported("east"), internal_traffic_policy="Local")
    scene = scene_of(oldest, exported("west"), pods=0)
    has_pods(scene, 2, ready=ready)
    scene.settle()
    assert from_clusters(scene, used=True) == {"east"}
    assert from_clusters(scene, used=False) == {"west"}


def test_local_first_sets_a_neighbours_pods_aside_too() -> None:
    scene = scene_of(local_first(exported("east")), exported("west"), pods=0)
    scene.neighbours = frozenset({"west"})
    scene.shards = [shard("west", ShardEndpoint(address="10.3.0.1"), ports=HTTP)]
    scene.settle()
    assert ways(scene) == [("10.3.0.1", 8080)]
    has_pods(scene, 1)
    scene.settle()
    assert ways(scene) == [("10.2.0.1", 8080)]
    (aside,) = [piece for piece in scene.slices if not is_used(piece)]
    assert aside.metadata.name == "hello.west.aaaaaaaaaa.aside"


def test_a_cluster_that_does_not_allow_us_is_left_out_of_the_slices_ruling_26() -> None:
    others = structs.replace(exported("west"), allow=("north",))
    ours = structs.replace(exported("north"), allow=("east", "west"))
    scene = scene_of(exported("east"), others, ours)
    assert from_clusters(scene, used=True) == {"east", "north"}
    assert scene.service_import is not None
    assert [entry.cluster for entry in scene.service_import.status.clusters] == ["east", "north", "west"]


@pytest.mark.parametrize(
    ("allow", "is_ours"),
    [
        (("east/shop",), True),
        (("east/@node", "north"), True),
        (("*/shop/till",), True),
        (("north/shop", "east/shop/till/and/more"), False),
        ((), False),
    ],
)
def test_a_cluster_that_allows_any_part_of_us_is_kept_and_its_gateway_tells_the_parts_apart(
    allow: tuple[str, ...], is_ours: bool
) -> None:
    scene = scene_of(structs.replace(exported("west"), allow=allow), pods=0)
    assert from_clusters(scene, used=True) == ({"west"} if is_ours else set())


def test_a_neighbour_that_allows_only_a_part_of_us_is_reached_through_the_gateways() -> None:
    scene = scene_of(structs.replace(exported("west"), allow=("east/shop",)), pods=0)
    scene.shards = [shard("west", ShardEndpoint(address="10.3.0.1"), ports=HTTP)]
    before = ways(scene)
    scene.neighbours = frozenset({"west"})
    scene.settle()
    assert ways(scene) == before, "a pod would not ask who calls"
    scene.records["west"] = structs.replace(exported("west"), allow=("east/shop", "*"))
    scene.settle()
    assert ways(scene) == [("10.3.0.1", 8080)]


def test_who_stops_allowing_us_is_taken_out_and_the_last_one_rests_its_port() -> None:
    scene = scene_of(exported("west"), exported("north"), pods=0)
    scene.records["west"] = structs.replace(exported("west"), allow=("north",))
    assert rested(scene.plan()) == []
    scene.settle()
    scene.records["north"] = structs.replace(exported("north"), allow=("west",))
    assert len(rested(scene.plan())) == 1
    scene.settle()
    assert ways(scene) == []


def test_our_own_export_is_ours_to_use_whatever_it_allows() -> None:
    scene = scene_of(structs.replace(exported("east"), allow=("west",)))
    assert ways(scene) == [("10.2.0.1", 8080)]


def test_a_neighbour_needs_no_gateway_and_a_cluster_that_becomes_one_gives_back_its_port() -> None:
    scene = scene_of(exported("west"), pods=0)
    scene.shards = [shard("west", ShardEndpoint(address="10.3.0.1"), ports=HTTP)]
    assert scene.plan() == (), "the endpoints of a cluster elsewhere mean nothing here"
    scene.neighbours = frozenset({"west"})
    assert len(rested(scene.plan())) == 1
    scene.settle()
    assert ways(scene) == [("10.3.0.1", 8080)]


def test_udp_goes_through_the_gateways_by_an_egress_port_of_its_own_like_tcp() -> None:
    udp = RecordPort(port=53, name="dns", protocol="UDP", ready=1)
    tcp = RecordPort(port=53, name="dns-tcp", ready=1)
    scene = scene_of(record("west", udp, tcp), pods=0)
    (piece,) = scene.slices
    ports = {port.protocol: port.port for port in piece.ports or ()}
    assert ports.keys() == {"TCP", "UDP"}
    assert len(set(ports.values())) == 2, "one number is one target, whatever the protocol"
    assert scene.notes.keys() == set(ports.values())


def test_sctp_alone_needs_no_egress_port_and_has_no_slice_through_the_gateways() -> None:
    told = record("west", RecordPort(port=9, name="signal", protocol="SCTP", ready=1))
    scene = scene_of(told, pods=0)
    assert scene.slices == []
    assert scene.notes == {}


def test_three_pods_here_and_one_there_share_three_to_one_with_two_gateways_ruling_22() -> None:
    scene = scene_of(exported("east", ready=3), exported("west", ready=1), pods=3)
    assert len(ways(scene)) == 4
    assert to_the_mesh(scene) == 1, "one gateway is listed"


def test_further_lanes_are_kube_proxys_alone_and_have_ports_of_their_own() -> None:
    scene = scene_of(exported("east"), exported("west", ready=4), exported("north", ready=2), pods=1)
    lanes = [piece for piece in scene.slices if LABEL_LANE in piece.metadata.labels]
    assert [piece.metadata.name for piece in lanes] == ["hello.1.lane", "hello.2.lane"]
    assert all(LABEL_SERVICE_NAME not in piece.metadata.labels for piece in lanes)
    assert len(ways(scene)) == 1 + 3 * 2
    assert len({port for _address, port in ways(scene)}) == 4


def test_pods_of_neighbours_count_as_near_and_those_of_others_do_not() -> None:
    scene = scene_of(exported("west", ready=4), exported("north", ready=3), pods=0)
    three = [ShardEndpoint(address=f"10.3.0.{n}") for n in (1, 2, 3)]
    scene.shards = [shard("west", *three, ports=HTTP), shard("north", *three, ports=HTTP)]
    scene.settle()
    assert to_the_mesh(scene) == len(scene.gateways), "nothing is near, so nothing is divided"
    scene.neighbours = frozenset({"north"})
    scene.settle()
    assert (len(ways(scene)), to_the_mesh(scene)) == (3 + 4, 4)


def test_lanes_grow_and_shrink_and_shrinking_rests_their_ports() -> None:
    scene = scene_of(exported("east"), exported("west", ready=1), pods=1, gateways=1)
    assert to_the_mesh(scene) == 1
    scene.records["west"] = exported("west", ready=5)
    scene.settle()
    assert to_the_mesh(scene) == 5
    scene.records["west"] = exported("west", ready=1)
    plan = scene.plan()
    assert len(rested(plan)) == 4
    scene.settle()
    assert to_the_mesh(scene) == 1


def test_lanes_that_are_off_wait_until_they_have_been_so_for_long_enough() -> None:
    scene = scene_of(exported("east"), exported("west", ready=1), pods=1, gateways=1)
    scene.settled = False
    scene.records["west"] = exported("west", ready=5)
    merged = merge(scene.records.values())
    assert merged is not None
    assert lanes_are_off(scene.view(), merged=merged)
    scene.settle()
    assert to_the_mesh(scene) == 1
    scene.settled = True
    scene.settle()
    assert to_the_mesh(scene) == 5
    assert not lanes_are_off(scene.view(), merged=merged)


def test_without_local_pods_all_gateways_are_listed_once() -> None:
    scene = scene_of(exported("west", ready=50), pods=0, gateways=3)
    assert len(ways(scene)) == 3
    assert len({port for _address, port in ways(scene)}) == 1


def test_a_family_has_slices_where_the_import_and_the_gateways_have_it() -> None:
    both = structs.replace(service().spec, ip_families=("IPv4", "IPv6"))
    scene = ImportScene(records={"west": exported("west")}, gateways_ipv6=("fd00::8",))
    scene.settle()
    assert {piece.address_type for piece in scene.slices} == {"IPv4"}
    scene = ImportScene(records={"west": exported("west")}, gateways_ipv6=("fd00::8",))
    scene.own_service = structs.replace(service(), spec=both)
    scene.settle()
    assert [address for address, _port in ways(scene)] == ["10.1.0.8", "10.1.0.9", "fd00::8"]
    assert len({port for _address, port in ways(scene)}) == 1


def weights(scene: ImportScene) -> dict[str, int]:
    return {
        piece.metadata.labels[LABEL_SOURCE_CLUSTER]: json.loads(text)["http"]
        for piece in scene.slices
        if (text := piece.metadata.annotations.get(ANNOTATION_READY_ENDPOINTS)) is not None
    }


@pytest.mark.parametrize(
    ("ready", "shares", "told"),
    [
        ({"west": 1000, "north": 4}, {}, {"west": 1000, "north": 4}),
        ({"west": 1000, "north": 4}, {"west": 50}, {"west": 4, "north": 4}),
        ({"west": 1000, "north": 4}, {"west": 20}, {"west": 1, "north": 4}),
        ({"west": 1000, "north": 30}, {"west": 25, "north": 100}, {"west": 10, "north": 30}),
        ({"west": 1000, "north": 1}, {"west": 20}, {"west": 1, "north": 1}),
        ({"west": 2, "north": 30}, {"west": 50}, {"west": 2, "north": 30}),
        ({"west": 1000, "north": 0}, {"west": 20}, {"west": 1000, "north": 0}),
        ({"west": 0, "north": 4}, {"west": 20}, {"west": 0, "north": 4}),
    ],
    ids=[
        "unbounded",
        "half",
        "a fifth",
        "a quarter",
        "at least one",
        "within bounds",
        "nobody else",
        "none ready",
    ],
)
def test_a_peer_takes_no_more_than_its_share_of_the_mesh_ruling_11(
    ready: dict[str, int], shares: dict[str, int], told: dict[str, int]
) -> None:
    scene = scene_of(*(exported(cluster, ready=number) for cluster, number in ready.items()), pods=0)
    scene.shares = shares
    scene.settle()
    assert weights(scene) == told


@settings(max_examples=60, deadline=None)
@given(
    ready=st.dictionaries(st.sampled_from(["west", "north"]), st.integers(0, 20), min_size=1),
    pods=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    gateways=st.integers(0, 3),
)
def test_every_way_to_a_gateway_has_a_port_that_nobody_else_claims(
    ready: dict[str, int], pods: list[int], gateways: int
) -> None:
    records = [exported(cluster, ready=number) for cluster, number in ready.items()]
    scene = scene_of(exported("east"), *records, gateways=gateways)
    for number in pods:
        has_pods(scene, number)
        scene.settle()
    table = ClaimTable()
    for piece in scene.slices:
        table.change(piece.key, claims=claims_of(piece, cluster="east"))
    assert all(len(table.claimants(port)) == 1 for port in table.ports())
    lanes = {target.lane for port in table.ports() for target in table.claimants(port)}
    assert len(table.ports()) == len(lanes), "one port a lane, whatever the number of clusters"
