"""The table of routes from objects as the caches hold them."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from mesh_core.names import ANNOTATION_ALLOW, CONTROLLER, SYSTEM_NAMESPACE
from mesh_core.objects import (
    EndpointPort,
    EndpointSlice,
    ImportPort,
    MeshPeer,
    MeshPeerSpec,
    Meta,
    ServiceExport,
    ServiceImport,
)
from mesh_core.ports import PortTarget
from mesh_fakes.route_objects import (
    EAST,
    HELLO,
    NORTH,
    endpoints,
    exported,
    headless,
    imported,
    lane,
    local,
    member,
    objects_of,
    own,
    peer,
    remote,
    stand_in,
    table_of,
)
from mesh_gateway.balance import Weighted
from mesh_gateway.ground import can_be_a_pod
from mesh_gateway.route import Address, Egress, Ingress, ServicePort
from mesh_gateway.route_table import route_table

T = TypeVar("T")


def test_a_port_leads_to_every_cluster_that_shares_it_by_its_ready_endpoints() -> None:
    table = table_of(remote("north", ready={"http": 1}), remote("east", ready={"http": 3}))
    assert table.egress == {20000: Egress(HELLO, (Weighted(EAST, 3), Weighted(NORTH, 1)))}
    assert table.gateways[EAST] == (Address("east.example", 30443),)


def test_the_number_asked_for_is_the_imports_and_not_the_local_port() -> None:
    table = table_of(
        remote("east", name="admin", port=20001, ready={"admin": 2}),
        imports=[imported("hello", ImportPort(port=80, name="http"), ImportPort(port=81, name="admin"))],
    )
    assert table.egress[20001].target == ServicePort("demo", "hello", 81)


@pytest.mark.parametrize("name", ["", None])
def test_a_single_port_may_have_no_name(name: str | None) -> None:
    table = table_of(
        remote("east", name=name, ready={"": 2}), imports=[imported("hello", ImportPort(port=80))]
    )
    assert table.egress[20000].targets == (Weighted(EAST, 2),)


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(remote("east", ready={"http": 0}), id="no ready endpoint there"),
        pytest.param(remote("east", ready={"other": 5}), id="none behind this port"),
        pytest.param(remote("east", ready="not json"), id="a broken count"),
        pytest.param(remote("east", ready='{"http": "many"}'), id="a count that is no number"),
        pytest.param(remote("east", ready={"http": -1}), id="a negative count"),
        pytest.param(remote("east", listed=endpoints("10.0.0.2", ready=False)), id="withdrawn, ruling 8"),
        pytest.param(remote("nowhere"), id="a cluster without a MeshPeer"),
    ],
)
def test_a_port_without_a_reachable_endpoint_is_kept_and_leads_nowhere(piece: EndpointSlice) -> None:
    assert table_of(piece).egress == {20000: Egress(HELLO, ())}


def test_a_cluster_that_is_never_dialled_has_routes_and_no_address() -> None:
    """It is reached by tunnels that it dialled itself (ruling 7)."""
    awaited = structs.replace(peer("east"), spec=structs.replace(peer("east").spec, dial="inbound"))
    nowhere = structs.replace(awaited, spec=MeshPeerSpec(dial="inbound"))
    for seen in (awaited, nowhere):
        table = table_of(remote("east", ready={"http": 3}), peers=[seen])
        assert table.egress[20000].targets == (Weighted(EAST, 3),)
        assert table.gateways == {EAST: ()}


def test_consent_is_each_linked_peers_own_and_the_environment_says_where_the_api_server_is() -> None:
    north = peer("north")
    granted = structs.replace(north, spec=structs.replace(north.spec, access=("kube-apiserver",)))
    nowhere = MeshPeer(metadata=Meta(name="south"), spec=MeshPeerSpec(access=("kube-apiserver",)))
    objects = objects_of(peers=[peer("east"), granted, nowhere])
    table = route_table(replace(objects, api_server=(Address("10.96.0.1", 443),)))
    assert table.consents == {NORTH: frozenset({"kube-apiserver"})}
    assert table.api_server == (Address("10.96.0.1", 443),)
    assert route_table(objects).api_server == ()


def test_a_cluster_is_not_withdrawn_because_no_local_gateway_is_ready_yet() -> None:
    assert table_of(remote("east", listed=())).egress[20000].targets == (Weighted(EAST, 1),)


def test_a_port_claimed_twice_serves_only_the_older_claim_ruling_5() -> None:
    table = table_of(
        remote("east", service="hello", created="2026-01-02T00:00:00Z"),
        remote("north", service="shop", created="2026-01-01T00:00:00Z"),
        imports=[imported("hello"), imported("shop")],
    )
    assert table.egress == {20000: Egress(ServicePort("demo", "shop", 80), (Weighted(NORTH, 1),))}
    assert table.contested == ((20000, PortTarget("demo", "hello", "http")),)


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(remote("east", port=15443), id="a port outside the range"),
        pytest.param(remote("east", service="unknown"), id="a service that is not imported"),
        pytest.param(local("10.244.0.5", port=20000), id="our own endpoints"),
    ],
)
def test_what_is_no_egress_port_is_not_listened_to(piece: EndpointSlice) -> None:
    assert table_of(piece).egress == {}


def test_tcp_and_udp_are_carried_and_sctp_is_passed_over() -> None:
    both = [
        ImportPort(port=80, name="http"),
        ImportPort(port=80, name="h3", protocol="UDP"),
        ImportPort(port=90, name="sig", protocol="SCTP"),
    ]
    table = table_of(
        remote("east", ready={"http": 2, "h3": 2, "sig": 2}),
        remote("north", name="h3", port=20001, protocol="UDP", ready={"http": 1, "h3": 9}),
        local("10.244.0.5"),
        local("10.244.0.6", name="h3", protocol="UDP"),
        local("10.244.0.7", name="sig", protocol="SCTP"),
        imports=[imported("hello", *both)],
    )
    udp = ServicePort("demo", "hello", 80, protocol="UDP")
    assert table.egress == {
        20000: Egress(HELLO, (Weighted(EAST, 2), Weighted(NORTH, 1))),
        20001: Egress(udp, (Weighted(EAST, 2), Weighted(NORTH, 9))),
    }
    assert table.ingress == {
        HELLO: Ingress((Address("10.244.0.5", 8080),)),
        udp: Ingress((Address("10.244.0.6", 8080),)),
    }


def test_one_name_with_slices_of_two_protocols_leads_to_those_of_the_import() -> None:
    """While an export changes from one to the other, both are there for a moment."""
    pieces = local("10.244.0.5"), local("10.244.0.6", protocol="UDP")
    assert table_of(*pieces).ingress == {HELLO: Ingress((Address("10.244.0.5", 8080),))}
    after = table_of(*pieces, imports=[imported("hello", ImportPort(port=80, name="http", protocol="UDP"))])
    udp = ServicePort("demo", "hello", 80, protocol="UDP")
    assert after.ingress == {udp: Ingress((Address("10.244.0.6", 8080),))}


def test_a_peer_whose_name_no_certificate_can_carry_is_left_out() -> None:
    table = table_of(remote("east.example"), peers=[peer("east.example"), peer("north")])
    assert list(table.gateways) == [NORTH]


def test_a_name_leads_to_ready_local_endpoints() -> None:
    table = table_of(local("10.244.0.6", "10.244.0.5"), local("10.244.0.7", ready=False))
    assert table.ingress == {HELLO: Ingress((Address("10.244.0.5", 8080), Address("10.244.0.6", 8080)))}


def test_an_endpoint_without_a_ready_condition_is_ready() -> None:
    assert table_of(local("10.244.0.5", ready=None)).ingress[HELLO].endpoints == (
        Address("10.244.0.5", 8080),
    )


def test_ipv6_endpoints_count_only_where_there_is_no_ipv4() -> None:
    both = table_of(local("10.244.0.5"), local("fd00::5", family="IPv6"))
    assert both.ingress[HELLO].endpoints == (Address("10.244.0.5", 8080),)
    only = table_of(local("fd00::5", family="IPv6"))
    assert only.ingress[HELLO].endpoints == (Address("fd00::5", 8080),)


@pytest.mark.parametrize(
    ("pieces", "imports", "exports"),
    [
        pytest.param([local("10.244.0.5")], [imported()], [], id="not exported"),
        pytest.param([local("10.244.0.5")], [imported()], [exported(going=True)], id="being unexported"),
        pytest.param([local("10.244.0.5")], [], [exported()], id="without an import there is no number"),
        pytest.param([], [imported()], [exported()], id="no endpoint"),
        pytest.param([local("10.244.0.5", ready=False)], [imported()], [exported()], id="none ready"),
        pytest.param([local("10.244.0.5", name="other")], [imported()], [exported()], id="another port"),
        pytest.param([local("10.244.0.5", protocol="UDP")], [imported()], [exported()], id="not TCP"),
        pytest.param([local("10.244.0.5", manager="me")], [imported()], [exported()], id="not our slice"),
        pytest.param([local("pod.example", family="FQDN")], [imported()], [exported()], id="a name"),
    ],
)
def test_what_is_not_exported_and_ready_has_no_way_in(
    pieces: list[EndpointSlice], imports: list[ServiceImport], exports: list[ServiceExport]
) -> None:
    assert table_of(*pieces, imports=imports, exports=exports).ingress == {}


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
        "::",
        "255.255.255.255",
        "10.0.0",
        "localhost",
        "",
    ],
)
def test_an_address_that_is_no_pods_is_never_dialled_ruling_28(host: str) -> None:
    assert not can_be_a_pod(host)
    assert table_of(local(host)).ingress == {}


def test_the_controllers_stream_has_its_own_addresses() -> None:
    pieces = [
        EndpointSlice(
            metadata=Meta(name=f"{CONTROLLER}-{number}", namespace=SYSTEM_NAMESPACE),
            endpoints=endpoints(f"10.244.0.{number}", ready=ready),
            ports=(EndpointPort(name="peer", port=15445), EndpointPort(name="health", port=15480)),
        )
        for number, ready in ((3, True), (2, True), (4, False))
    ]
    table = table_of(controllers=pieces)
    assert table.controllers == (Address("10.244.0.2", 15445), Address("10.244.0.3", 15445))


@given(seed=st.integers(0, 1_000_000))
def test_the_order_in_the_caches_changes_nothing(seed: int) -> None:
    objects = objects_of(
        remote("east", ready={"http": 3}),
        remote("north", ready={"http": 2}),
        remote("east", service="shop", created="2026-01-03T00:00:00Z"),
        remote("north", service="shop", port=20001),
        lane(1, port=20002),
        lane(2, port=20002, created="2026-01-03T00:00:00Z"),
        stand_in("db-0"),
        stand_in("db-0", ready=False, own_ports={"tcp": 1}, uid="older", created="2025-01-01T00:00:00Z"),
        stand_in("db-1", port=21001, source="north"),
        local("10.244.0.5", "10.244.0.6"),
        own(member("10.244.0.8", hostname="db-1"), member("10.244.0.7", hostname="db-0")),
        own(member("fd00::7", hostname="db-0"), family="IPv6"),
        imports=[imported("hello"), imported("shop"), headless()],
        exports=[exported("hello", annotations={ANNOTATION_ALLOW: "east,north"}), exported("db")],
    )
    mixed = replace(objects, slices=shuffled(objects.slices, seed), imports=shuffled(objects.imports, seed))
    first, second = route_table(objects), route_table(mixed)
    assert first == second
    assert list(first.egress.items()) == list(second.egress.items())
    assert list(first.ingress.items()) == list(second.ingress.items())


def shuffled(items: Sequence[T], seed: int) -> list[T]:
    mixed = list(items)
    Random(seed).shuffle(mixed)
    return mixed


def test_the_first_port_of_a_service_is_its_imports_first_of_tcp_that_leads_anywhere() -> None:
    ports = (
        ImportPort(port=53, name="dns", protocol="UDP"),
        ImportPort(port=443, name="tls"),
        ImportPort(port=80, name="http"),
    )
    datagrams = local("10.244.0.5", name="dns", port=5353, protocol="UDP")
    table = table_of(local("10.244.0.5"), datagrams, imports=(imported("hello", *ports),))
    assert table.first == {("demo", "hello"): HELLO}, "nobody is ready behind 443"
    only = table_of(datagrams, imports=(imported("hello", ports[0]),))
    assert only.first == {("demo", "hello"): replace(HELLO, port=53, protocol="UDP")}
