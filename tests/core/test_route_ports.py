"""What local ports lead to when several stand for one service, or one for a single endpoint."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from mesh_core.names import LABEL_KUBERNETES_SERVICE
from mesh_core.objects import EndpointSlice
from mesh_core.ports import PortTarget
from mesh_fakes.route_objects import (
    EAST,
    HELLO,
    NORTH,
    OWN,
    endpoints,
    headless,
    imported,
    lane,
    objects_of,
    peer,
    remote,
    stand_in,
    table_of,
)
from mesh_gateway.balance import Weighted
from mesh_gateway.route import Egress, ServicePort
from mesh_gateway.route_table import route_table

SHARED = (Weighted(EAST, 3), Weighted(NORTH, 1))
DB_0 = ServicePort("demo", "db", 5432, endpoint="db-0")
OLD, NEW = "2025-01-01T00:00:00Z", "2026-06-01T00:00:00Z"


def both() -> tuple[EndpointSlice, EndpointSlice]:
    """The slices of east and north, three to one."""
    return remote("east", ready={"http": 3}), remote("north", ready={"http": 1})


def test_all_lanes_lead_to_the_same_clusters_by_the_same_weights() -> None:
    table = table_of(*both(), *(lane(number, port=20000 + number) for number in range(1, 8)))
    assert table.egress == {port: Egress(HELLO, SHARED) for port in range(20000, 20008)}


def test_weights_do_not_come_from_the_slice_that_claims_a_port() -> None:
    table = table_of(lane(1, port=20001))
    assert table.egress == {20001: Egress(HELLO, ())}, "nobody says that he serves it"
    elsewhere = table_of(
        remote("east", ready={"http": 3}), remote("north", port=20009, ready={"http": 1}), lane(1, port=20001)
    )
    assert {port: route.targets for port, route in elsewhere.egress.items()} == dict.fromkeys(
        (20000, 20001, 20009), SHARED
    )


def test_a_lane_that_lost_its_port_loses_nothing_but_that_port_ruling_5() -> None:
    table = table_of(
        *both(),
        lane(1, port=20001, created=NEW),
        lane(2, port=20002),
        remote("east", service="shop", port=20001, created=OLD),
        imports=[imported("hello"), imported("shop")],
    )
    assert table.egress[20001] == Egress(ServicePort("demo", "shop", 80), (Weighted(EAST, 1),))
    assert table.egress[20002] == table.egress[20000] == Egress(HELLO, SHARED)
    assert table.contested == ((20001, PortTarget("demo", "hello", "http", lane=1)),)


def test_a_first_lane_that_lost_its_port_leaves_the_others_their_weights() -> None:
    table = table_of(
        remote("east", ready={"http": 3}, created=NEW),
        lane(1, port=20001),
        remote("north", service="shop", created=OLD),
        imports=[imported("hello"), imported("shop")],
    )
    assert table.egress[20000].target.service == "shop"
    assert table.egress[20001] == Egress(HELLO, (Weighted(EAST, 3),))


def test_two_lanes_of_one_service_may_not_share_a_port() -> None:
    table = table_of(*both(), lane(1, port=20001), lane(2, port=20001, created=NEW))
    assert table.contested == ((20001, PortTarget("demo", "hello", "http", lane=2)),)
    assert table.egress[20001] == Egress(HELLO, SHARED)


@pytest.mark.parametrize("shadow", [None, "derived-abc"])
def test_a_slice_that_kube_proxy_is_not_to_heed_counts_all_the_same(shadow: str | None) -> None:
    pieces = []
    for piece in both():
        labels = piece.metadata.labels | ({LABEL_KUBERNETES_SERVICE: shadow} if shadow else {})
        pieces.append(structs.replace(piece, metadata=structs.replace(piece.metadata, labels=labels)))
    assert table_of(*pieces).egress == {20000: Egress(HELLO, SHARED)}


def test_our_own_cluster_is_never_a_way_out() -> None:
    table = table_of(remote(OWN, ready={"http": 9}), lane(1, port=20001), peers=[peer(OWN)])
    assert table.egress == {20001: Egress(HELLO, ())}


@given(ports=st.permutations(range(20001, 20008)), counts=st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_whichever_ports_the_lanes_have_they_share_one_route(
    ports: list[int], counts: tuple[int, int]
) -> None:
    lanes = [lane(number, port=port) for number, port in enumerate(ports, start=1)]
    table = table_of(
        remote("east", ready={"http": counts[0]}), *lanes, remote("north", ready={"http": counts[1]})
    )
    expected = [Weighted(c, n) for c, n in zip((EAST, NORTH), counts, strict=True) if n]
    assert set(table.egress) == {20000, *ports}
    assert all(route == Egress(HELLO, tuple(expected)) for route in table.egress.values())


def of_db(*slices: EndpointSlice, peers: tuple[str, ...] = ("east", "north")) -> dict[int, Egress]:
    """Egress of a cluster that imports the headless `demo/db`."""
    objects = replace(objects_of(*slices), imports=[headless()], peers=[peer(name) for name in peers])
    return dict(route_table(objects).egress)


def test_a_stand_in_leads_to_one_endpoint_of_one_cluster_by_the_endpoints_own_number() -> None:
    pieces = [
        stand_in("db-0", port=21000),
        stand_in("db-1", port=21001, own_ports={"tcp": 15432, "other": 1}),
        stand_in("db-0", port=21002, source="north"),
        stand_in("10-244-0-9", port=21003),
    ]
    assert of_db(*pieces) == {
        21000: Egress(DB_0, (Weighted(EAST, 1),)),
        21001: Egress(ServicePort("demo", "db", 15432, endpoint="db-1"), (Weighted(EAST, 1),)),
        21002: Egress(DB_0, (Weighted(NORTH, 1),)),
        21003: Egress(ServicePort("demo", "db", 5432, endpoint="10-244-0-9"), (Weighted(EAST, 1),)),
    }


@pytest.mark.parametrize(
    ("piece", "peers"),
    [
        pytest.param(stand_in("db-0", ready=False), ("east", "north"), id="its endpoint is withdrawn"),
        pytest.param(stand_in("db-0"), ("north",), id="its cluster is no peer"),
        pytest.param(stand_in("db-0", source=OWN), ("east", OWN), id="our own cluster"),
    ],
)
def test_a_stand_in_that_leads_nowhere_is_not_sent_elsewhere(
    piece: EndpointSlice, peers: tuple[str, ...]
) -> None:
    assert of_db(piece, peers=peers) == {21000: Egress(DB_0, ())}


def test_a_stand_in_is_not_withdrawn_because_no_local_gateway_is_ready_yet() -> None:
    assert of_db(stand_in("db-0", listed=()))[21000].targets == (Weighted(EAST, 1),)


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(stand_in("db-0", own_ports={}), id="no number for the port"),
        pytest.param(stand_in("db-0", own_ports={"other": 5432}), id="a number for another port"),
        pytest.param(stand_in("db-0", own_ports={"tcp": 0}), id="no port number"),
        pytest.param(stand_in("db-0", own_ports={"tcp": 65536}), id="too large a number"),
        pytest.param(stand_in("db-0", own_ports='{"tcp": "5432"}'), id="a number as text"),
        pytest.param(stand_in("db-0", own_ports="tcp=5432"), id="no JSON"),
        pytest.param(stand_in("db-0", namespace="demo"), id="not in our own namespace"),
        pytest.param(stand_in("db-0", protocol="SCTP"), id="SCTP"),
        pytest.param(stand_in("db-0", port=5432), id="no egress port"),
    ],
)
def test_a_stand_in_without_a_number_to_ask_for_is_not_listened_to(piece: EndpointSlice) -> None:
    assert of_db(piece) == {}


def test_a_stand_ins_port_speaks_what_its_slice_says() -> None:
    routes = of_db(stand_in("db-0", port=21000), stand_in("db-1", port=21001, protocol="UDP"))
    assert routes[21000].target.protocol == "TCP"
    assert routes[21001].target == ServicePort("demo", "db", 5432, endpoint="db-1", protocol="UDP")


def test_while_one_slice_of_a_stand_in_replaces_another_the_ready_one_counts() -> None:
    gone = stand_in("db-0", ready=False, own_ports={"tcp": 1}, uid="a", created=OLD)
    assert of_db(gone, stand_in("db-0")) == {21000: Egress(DB_0, (Weighted(EAST, 1),))}


def test_a_port_of_two_stand_ins_is_the_older_ones_ready_or_not_ruling_5() -> None:
    older = stand_in("db-0", ready=False, created=OLD)
    assert of_db(stand_in("db-1"), older) == {21000: Egress(DB_0, ())}
    assert of_db(stand_in("db-1"), stand_in("db-0", created=OLD))[21000].target == DB_0


def test_a_stand_in_and_a_service_that_claim_one_port_are_told_apart_ruling_5() -> None:
    table = table_of(remote("east", port=21000, created=OLD), stand_in("db-0"))
    assert table.egress == {21000: Egress(HELLO, (Weighted(EAST, 1),))}
    assert table.contested == ((21000, PortTarget("demo", "db", "tcp", cluster="east", endpoint="db-0")),)


def test_a_headless_import_has_no_port_as_a_whole() -> None:
    piece = remote("east", service="db", name="tcp", ready={"tcp": 3}, listed=endpoints("10.96.0.7"))
    assert of_db(piece, lane(1, service="db", port=20001)) == {}
