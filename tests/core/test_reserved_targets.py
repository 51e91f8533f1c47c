"""Reserved targets: who may ask at the inner door, and what an opening out of a tunnel gets (ruling 18)."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from mesh_core.identity import Component, cluster_id
from mesh_fakes.gateways import table_of
from mesh_gateway.admission import Denied
from mesh_gateway.client_hello import Hello
from mesh_gateway.opening import Opening, Reason
from mesh_gateway.places import Claim, Share
from mesh_gateway.reserved import (
    API_SERVER,
    PEER,
    Inner,
    NotInner,
    inner_target,
    reserved_claim,
    reserved_route,
)
from mesh_gateway.route import Address, Ingress, RouteTable

CONTROLLER, API = Address("10.244.0.9", 15445), Address("10.96.0.1", 443)
HUB, NORTH, STRANGER = cluster_id("west"), cluster_id("north"), cluster_id("mallory")
INNER = b"meshctl-inner/1"
TO_CONTROLLER = Opening(id="0123456789abcdef", reserved="peer", component="controller")
TO_API = Opening(id="0123456789abcdef", reserved="kube-apiserver", component="access")


def member(*, consents: Iterable[str] = ("kube-apiserver",)) -> RouteTable:
    """East, linked with west and north, that lets west reach its API server."""
    table = table_of("east", controllers=(CONTROLLER,), gateways={HUB: (), NORTH: ()})
    return replace(table, api_server=(API,), consents={HUB: frozenset(consents)})


TABLE = member()


def target(name: str | None, *protocols: bytes, versions: tuple[int, ...] = (0x0304,)) -> Inner | NotInner:
    hello = Hello(server_name=name, protocols=protocols or (INNER,), versions=versions)
    return inner_target(hello, table=TABLE)


@pytest.mark.parametrize(
    ("name", "reserved", "component"),
    [
        ("peer.west.clusterset.internal", PEER, Component.CONTROLLER),
        ("PEER.West.clusterset.internal", PEER, Component.CONTROLLER),
        ("kube-apiserver.west.clusterset.internal", API_SERVER, Component.ACCESS),
        ("Kube-APIServer.WEST.clusterset.internal", API_SERVER, Component.ACCESS),
    ],
)
def test_each_target_of_another_cluster_can_be_asked_for_by_its_own_component(
    name: str, reserved: str, component: Component
) -> None:
    wanted = Inner(cluster_id("west"), reserved, component)
    assert target(name) == wanted
    assert target(name, b"h2", INNER) == wanted


@pytest.mark.parametrize(
    ("name", "protocols"),
    [
        (None, (INNER,)),
        ("", (INNER,)),
        ("peer.east.clusterset.internal", (INNER,)),
        ("kube-apiserver.east.clusterset.internal", (INNER,)),
        ("gateway.west.clusterset.internal", (INNER,)),
        ("join.west.clusterset.internal", (INNER,)),
        ("kube-apiserver.x.west.clusterset.internal", (INNER,)),
        ("kube-apiserver.clusterset.internal", (INNER,)),
        ("kube-apiserver.west.elsewhere.internal", (INNER,)),
        ("kube-apiserver.west.demo.svc.clusterset.local", (INNER,)),
        ("kube-controller-manager.west.clusterset.internal", (INNER,)),
        ("80.hello.demo.svc.clusterset.local", (INNER,)),
        ("80.west.hello.demo.svc.clusterset.local", (INNER,)),
        ("west.clusterset.internal", (INNER,)),
        ("peer.west.clusterset.internal.", (INNER,)),
        ("peer.west\0.clusterset.internal", (INNER,)),
        ("example.com", (INNER,)),
        ("peer.west.clusterset.internal", (b"meshctl/1",)),
        ("peer.west.clusterset.internal", (b"meshctl-peer/1",)),
        ("peer.west.clusterset.internal", (b"meshctl-tunnel/1",)),
        ("kube-apiserver.west.clusterset.internal", (b"meshctl/1",)),
        ("kube-apiserver.west.clusterset.internal", (b"h2", b"http/1.1")),
    ],
)
def test_nothing_else_can(name: str | None, protocols: tuple[bytes, ...]) -> None:
    assert isinstance(target(name, *protocols), NotInner)


def test_a_hello_without_alpn_or_tls_1_3_is_nothing_either() -> None:
    for name in ("peer.west.clusterset.internal", "kube-apiserver.west.clusterset.internal"):
        assert isinstance(inner_target(Hello(name, (), versions=(0x0304,)), table=TABLE), NotInner)
        assert isinstance(target(name, versions=(0x0303,)), NotInner)


def test_a_controller_of_a_linked_cluster_reaches_ours() -> None:
    for cluster in (HUB, NORTH):
        assert reserved_route(TO_CONTROLLER, cluster=cluster, table=TABLE) == Ingress((CONTROLLER,))
    assert reserved_claim(TO_CONTROLLER, cluster=NORTH) == Claim(Share.RESERVED, NORTH)


def test_the_access_proxy_of_a_cluster_with_our_consent_reaches_our_api_server() -> None:
    assert reserved_route(TO_API, cluster=HUB, table=TABLE) == Ingress((API,))
    assert reserved_claim(TO_API, cluster=HUB) == Claim(Share.API_SERVER, HUB)


SERVICE = Opening(reserved="peer", component="controller", namespace="demo", service="hello", port=80)
REFUSED = {
    "no target": (Opening(), Reason.UNSUPPORTED),
    "another case": (Opening(reserved="Peer", component="controller"), Reason.UNSUPPORTED),
    "a target that is not in the list": (Opening(reserved="kubelet", component="access"), Reason.UNSUPPORTED),
    "datagrams to the controller": (
        Opening(reserved="peer", component="controller", protocol="UDP"),
        Reason.UNSUPPORTED,
    ),
    "datagrams to the API server": (
        Opening(reserved="kube-apiserver", component="access", protocol="UDP"),
        Reason.UNSUPPORTED,
    ),
    "nobody asks": (Opening(reserved="peer"), Reason.NOT_ALLOWED),
    "a gateway asks for the controller": (
        Opening(reserved="peer", component="gateway"),
        Reason.NOT_ALLOWED,
    ),
    "the access proxy asks for the controller": (
        Opening(reserved="peer", component="access"),
        Reason.NOT_ALLOWED,
    ),
    "nobody asks for the API server": (Opening(reserved="kube-apiserver"), Reason.NOT_ALLOWED),
    **{
        f"{component} asks for the API server": (
            Opening(reserved="kube-apiserver", component=component),
            Reason.NOT_ALLOWED,
        )
        for component in ("controller", "gateway", "dns", "client", "Access", "access ")
    },
    "a service beside it": (SERVICE, Reason.BAD_OPENING),
    "an endpoint beside it": (
        Opening(reserved="peer", component="controller", endpoint="db-0"),
        Reason.BAD_OPENING,
    ),
    "a port beside the API server": (
        Opening(reserved="kube-apiserver", component="access", port=10250),
        Reason.BAD_OPENING,
    ),
}


@pytest.mark.parametrize(("opening", "reason"), REFUSED.values(), ids=REFUSED)
def test_any_other_opening_is_refused_with_its_reason(opening: Opening, reason: Reason) -> None:
    found = reserved_route(opening, cluster=HUB, table=TABLE)
    assert isinstance(found, Denied)
    assert found.reason is reason
    assert found.why


@pytest.mark.parametrize("opening", [TO_CONTROLLER, TO_API], ids=["controller", "API server"])
def test_a_cluster_without_a_mesh_peer_gets_nothing_even_where_a_consent_was_left(opening: Opening) -> None:
    table = replace(TABLE, consents={STRANGER: frozenset({API_SERVER})})
    found = reserved_route(opening, cluster=STRANGER, table=table)
    assert isinstance(found, Denied)
    assert found.reason is Reason.NOT_ALLOWED


def test_a_member_that_does_not_consent_is_not_reached_and_says_what_is_missing() -> None:
    found = reserved_route(TO_API, cluster=HUB, table=member(consents=()))
    assert found == Denied(
        Reason.NOT_ALLOWED, "spec.access of MeshPeer west does not have kube-apiserver here"
    )


def test_consent_to_the_hub_is_none_to_another_member() -> None:
    found = reserved_route(TO_API, cluster=NORTH, table=TABLE)
    assert isinstance(found, Denied)
    assert found.reason is Reason.NOT_ALLOWED


def test_consent_to_something_else_is_none_to_the_api_server() -> None:
    found = reserved_route(TO_API, cluster=HUB, table=member(consents=("kubelet", "kube-apiserver2")))
    assert isinstance(found, Denied)
    assert found.reason is Reason.NOT_ALLOWED


def test_without_a_ready_controller_or_a_known_api_server_it_is_refused() -> None:
    bare = replace(TABLE, controllers=(), api_server=())
    for opening in (TO_CONTROLLER, TO_API):
        found = reserved_route(opening, cluster=HUB, table=bare)
        assert isinstance(found, Denied)
        assert found.reason is Reason.NO_ENDPOINT
