"""Which endpoints of headless services get a stand-in, and for which of their ports (ruling 10)."""

from dataclasses import replace

import pytest
from msgspec import structs

from mesh_core.merge import merge
from mesh_core.plan import Create, Kind
from mesh_core.record import RecordPort, ShardEndpoint, ShardPort
from mesh_core.stand_ins import stand_ins
from mesh_fakes.exports import endpoint, headless, shard
from mesh_fakes.import_scene import ImportScene, addresses, behind, by_endpoint, listing

DB_0 = ShardEndpoint(address="10.9.0.1", hostname="db-0")
DB_1 = ShardEndpoint(address="10.9.0.2", hostname="db-1", ready=False)
NAMELESS = ShardEndpoint(address="10.9.0.3")
ADMIN = RecordPort(port=9000, name="admin", ready=1)
DB = RecordPort(port=5432, name="db", ready=2)


def scene_of(*endpoints: ShardEndpoint) -> ImportScene:
    scene = ImportScene(records={"west": headless("west")}, shards=[shard("west", *endpoints)])
    scene.settle()
    return scene


def test_a_peer_has_so_many_and_the_service_import_says_how_many_lack_one_ruling_11() -> None:
    scene = ImportScene(records={"west": headless("west")}, most_stand_ins={"west": 2})
    third = structs.replace(DB_0, address="10.9.0.4", hostname="db-2")
    scene.shards = [shard("west", third, DB_1, DB_0)]
    scene.settle()
    assert set(by_endpoint(scene)) == set(addresses(scene)) == {"db-0", "db-1"}
    assert scene.service_import is not None
    (condition,) = scene.service_import.status.conditions
    assert (condition.status, condition.reason) == ("False", "Pending")
    assert condition.message.startswith("1 endpoints have no stand-in")
    assert "spec.import.limits.standIns" in condition.message
    scene.most_stand_ins["west"] = 3
    scene.settle()
    assert len(scene.stand_ins) == 3
    assert scene.service_import is not None
    (condition,) = scene.service_import.status.conditions
    assert condition.status == "True"


def test_who_has_a_stand_in_keeps_it_when_room_runs_out() -> None:
    scene = ImportScene(records={"west": headless("west")}, most_stand_ins={"west": 1})
    scene.shards = [shard("west", DB_1)]
    scene.settle()
    scene.shards = [shard("west", DB_0, DB_1)]
    scene.settle()
    assert set(by_endpoint(scene)) == {"db-1"}


def test_who_has_both_families_has_one_stand_in() -> None:
    scene = scene_of(DB_0, NAMELESS)
    six = structs.replace(DB_0, address="fd00::1")
    scene.shards.append(shard("west", six, name="0000000six", family="IPv6"))
    scene.settle()
    assert set(by_endpoint(scene)) == {"db-0", "10-9-0-3"}
    assert [piece.metadata.name for piece in listing(scene)] == ["hello.west.aaaaaaaaaa.stand-ins"]


def test_a_service_of_one_family_that_we_do_not_have_is_reached_all_the_same() -> None:
    six = ShardEndpoint(address="fd00::1:0")
    scene = ImportScene(records={"west": headless("west")}, shards=[shard("west", six, family="IPv6")])
    scene.settle()
    (piece,) = listing(scene)
    assert piece.address_type == "IPv4"
    assert [one.hostname for one in piece.endpoints or ()] == ["fd00--1-0"]


def test_all_ports_that_gateways_carry_and_the_import_has_stand_behind_it() -> None:
    scene = ImportScene()
    udp = RecordPort(port=53, name="dns", protocol="UDP", ready=1)
    scene.records["west"] = headless("west", DB, ADMIN, udp)
    ports = (
        ShardPort(port=15432, name="db"),
        ShardPort(port=19000, name="admin"),
        ShardPort(port=53, name="dns", protocol="UDP"),
        ShardPort(port=1, name="stray"),
    )
    scene.shards = [shard("west", DB_0, ports=ports)]
    scene.settle()
    (service,) = scene.stand_ins
    assert {port.name: (port.protocol, port.port) for port in service.spec.ports} == {
        "admin": ("TCP", 19000),
        "db": ("TCP", 15432),
        "dns": ("UDP", 53),
    }
    held = {port.name: (port.protocol, port.port) for port in behind(scene, "db-0").ports or ()}
    assert {name: protocol for name, (protocol, _number) in held.items()} == {
        "admin": "TCP",
        "db": "TCP",
        "dns": "UDP",
    }
    assert len({number for _protocol, number in held.values()}) == 3


def test_one_number_of_both_protocols_stands_twice_and_one_of_one_protocol_once() -> None:
    scene = ImportScene()
    told = (
        RecordPort(port=53, name="dns", protocol="UDP", ready=1),
        RecordPort(port=53, name="dns-tcp", ready=1),
        RecordPort(port=54, name="old", ready=1),
    )
    scene.records["west"] = headless("west", *told)
    ports = (
        ShardPort(port=5353, name="dns", protocol="UDP"),
        ShardPort(port=5353, name="dns-tcp"),
        ShardPort(port=5353, name="old"),
    )
    scene.shards = [shard("west", DB_0, ports=ports)]
    scene.settle()
    (service,) = scene.stand_ins
    assert [(port.name, port.protocol) for port in service.spec.ports] == [("dns", "UDP"), ("dns-tcp", "TCP")]


@pytest.mark.parametrize(
    "ports",
    [(), (ShardPort(port=15432, name="db", protocol="SCTP"),), (ShardPort(port=1, name="stray"),)],
    ids=["none", "SCTP", "not exported"],
)
def test_without_a_port_that_is_carried_there_is_nothing_to_stand_in_for(
    ports: tuple[ShardPort, ...],
) -> None:
    scene = ImportScene(records={"west": headless("west")}, shards=[shard("west", DB_0, ports=ports)])
    scene.settle()
    assert (scene.stand_ins, scene.slices) == ([], [])


@pytest.mark.parametrize(
    ("told", "listed"),
    [("not allowed", {}), ("neighbour", {"db-0": "10.9.0.1"}), ("ours", {"db-0": "10.2.0.1"})],
)
def test_nobody_stands_in_for_endpoints_that_we_reach_or_may_not_reach(
    told: str, listed: dict[str, str]
) -> None:
    scene = ImportScene(records={"west": headless("west")}, shards=[shard("west", DB_0)])
    if told == "not allowed":
        scene.records["west"] = structs.replace(headless("west"), allow=("north",))
    elif told == "neighbour":
        scene.neighbours = frozenset({"west"})
    else:
        scene.records = {"east": headless("east")}
        scene.has_pods(endpoint("10.2.0.1", hostname="db-0"), ports={"db": 15432})
    scene.settle()
    assert scene.stand_ins == []
    assert addresses(scene) == listed


def test_a_neighbour_that_allows_only_a_part_of_us_gets_stand_ins() -> None:
    scene = ImportScene(records={"west": headless("west")}, neighbours=frozenset({"west"}))
    scene.records["west"] = structs.replace(headless("west"), allow=("east/shop",))
    scene.shards = [shard("west", DB_0)]
    scene.settle()
    assert addresses(scene) == {"db-0": scene.stand_ins[0].spec.cluster_ip}
    scene.records["west"] = headless("west")
    scene.settle()
    assert addresses(scene) == {"db-0": "10.9.0.1"}


def test_a_cluster_that_leaves_our_network_gets_stand_ins_with_addresses_of_ours() -> None:
    """Its slices list the pods' own addresses until then, which no Service of ours can have."""
    scene = ImportScene(records={"west": headless("west")}, neighbours=frozenset({"west"}))
    scene.shards = [shard("west", DB_0)]
    scene.settle()
    scene.neighbours = frozenset()
    creates = [step for step in scene.plan() if isinstance(step, Create) and step.kind is Kind.SERVICE]
    assert ["clusterIP" in step.body["spec"] for step in creates] == [False]
    scene.settle()
    assert addresses(scene) == {"db-0": scene.stand_ins[0].spec.cluster_ip}
    scene.neighbours = frozenset({"west"})
    scene.settle()
    assert addresses(scene) == {"db-0": "10.9.0.1"}


def test_an_endpoint_whose_name_is_too_long_for_a_gateway_has_none_ruling_4() -> None:
    cluster = "c" * 63
    long = ShardEndpoint(address="10.9.0.1", hostname="x" * 63)
    scene = ImportScene(records={cluster: headless(cluster)}, shards=[shard(cluster, long, DB_1)])
    merged = merge(scene.records.values())
    assert merged is not None
    view = replace(scene.view(), namespace="n" * 63, name="s" * 63)
    assert [one.endpoint for one in stand_ins(view, merged=merged)] == ["db-1"]
    assert len(stand_ins(scene.view(), merged=merged)) == 2
