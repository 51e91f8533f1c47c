"""Reserved targets: who may ask at the inner door, and what an opening out of a tunnel gets (ruling 18)."""

import pytest

from mesh_core.identity import Component, cluster_id
from mesh_fakes.gateways import table_of
from mesh_gateway.admission import Denied
from mesh_gateway.client_hello import Hello
from mesh_gateway.opening import Opening, Reason
from mesh_gateway.reserved import PEER, Inner, NotInner, inner_target, reserved_route
from mesh_gateway.route import Address, Ingress

CONTROLLER = Address("10.244.0.9", 15445)
TABLE = table_of("east", controllers=(CONTROLLER,))
INNER = b"meshctl-inner/1"
ASKED = Opening(id="0123456789abcdef", reserved="peer", component="controller")


def target(name: str | None, *protocols: bytes, versions: tuple[int, ...] = (0x0304,)) -> Inner | NotInner:
    hello = Hello(server_name=name, protocols=protocols or (INNER,), versions=versions)
    return inner_target(hello, table=TABLE)


def test_the_controller_of_another_cluster_can_be_asked_for() -> None:
    wanted = Inner(cluster_id("west"), PEER, Component.CONTROLLER)
    assert target("peer.west.clusterset.internal") == wanted
    assert target("PEER.West.clusterset.internal", b"h2", INNER) == wanted


@pytest.mark.parametrize(
    ("name", "protocols"),
    [
        (None, (INNER,)),
        ("", (INNER,)),
        ("peer.east.clusterset.internal", (INNER,)),
        ("gateway.west.clusterset.internal", (INNER,)),
        ("kube-apiserver.west.clusterset.internal", (INNER,)),
        ("80.hello.demo.svc.clusterset.local", (INNER,)),
        ("80.west.hello.demo.svc.clusterset.local", (INNER,)),
        ("west.clusterset.internal", (INNER,)),
        ("peer.west.clusterset.internal.", (INNER,)),
        ("peer.west\0.clusterset.internal", (INNER,)),
        ("example.com", (INNER,)),
        ("peer.west.clusterset.internal", (b"meshctl/1",)),
        ("peer.west.clusterset.internal", (b"meshctl-peer/1",)),
        ("peer.west.clusterset.internal", (b"meshctl-tunnel/1",)),
        ("peer.west.clusterset.internal", (b"h2",)),
    ],
)
def test_nothing_else_can(name: str | None, protocols: tuple[bytes, ...]) -> None:
    assert isinstance(target(name, *protocols), NotInner)


def test_a_hello_without_alpn_or_tls_1_3_is_nothing_either() -> None:
    bare = Hello("peer.west.clusterset.internal", (), versions=(0x0304,))
    assert isinstance(inner_target(bare, table=TABLE), NotInner)
    assert isinstance(target("peer.west.clusterset.internal", versions=(0x0303,)), NotInner)


def test_a_controller_of_a_linked_cluster_reaches_ours() -> None:
    assert reserved_route(ASKED, linked=True, table=TABLE) == Ingress((CONTROLLER,))


@pytest.mark.parametrize(
    ("opening", "linked", "reason"),
    [
        (Opening(), True, Reason.UNSUPPORTED),
        (Opening(reserved="kube-apiserver", component="access"), True, Reason.UNSUPPORTED),
        (Opening(reserved="kube-apiserver", component="controller"), True, Reason.UNSUPPORTED),
        (Opening(reserved="Peer", component="controller"), True, Reason.UNSUPPORTED),
        (Opening(reserved="peer", component="controller", protocol="UDP"), True, Reason.UNSUPPORTED),
        (Opening(reserved="peer"), True, Reason.NOT_ALLOWED),
        (Opening(reserved="peer", component="gateway"), True, Reason.NOT_ALLOWED),
        (Opening(reserved="peer", component="access"), True, Reason.NOT_ALLOWED),
        (ASKED, False, Reason.NOT_ALLOWED),
        (
            Opening(reserved="peer", component="controller", namespace="demo", service="hello", port=80),
            True,
            Reason.BAD_OPENING,
        ),
        (Opening(reserved="peer", component="controller", endpoint="db-0"), True, Reason.BAD_OPENING),
    ],
)
def test_any_other_opening_is_refused_with_its_reason(opening: Opening, linked: bool, reason: Reason) -> None:
    found = reserved_route(opening, linked=linked, table=TABLE)
    assert isinstance(found, Denied)
    assert found.reason is reason
    assert found.why


def test_without_a_ready_controller_it_is_refused() -> None:
    found = reserved_route(ASKED, linked=True, table=table_of("east"))
    assert isinstance(found, Denied)
    assert found.reason is Reason.NO_ENDPOINT
