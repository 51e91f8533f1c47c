"""Where a newcomer says it is: what is believed, and the MeshPeers that are made of it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from mesh_controller.joiner import check_welcome
from mesh_core.identity import cluster_id, domain
from mesh_core.invitation_token import Token
from mesh_core.invitations import Invitation
from mesh_core.join_wire import JoinCode, JoinFailed, Offered, Request, Welcome
from mesh_core.newcomer import inviter_objection, objection, peer_of_inviter, peer_of_newcomer
from mesh_core.objects import PeerGateway
from mesh_core.objects.trust import Signed

INVITATION = Invitation(
    key="00" * 32,
    uses=1,
    expires=datetime(2026, 5, 1, tzinfo=UTC).isoformat(),
    network="lan",
    pod_cidrs=("10.244.0.0/16", "fd00:1::/48"),
)
ALONE = Invitation(key="00" * 32, uses=1, expires=datetime(2026, 5, 1, tzinfo=UTC).isoformat())
KEY = "aa" * 32
TOKEN = Token(
    gateways=(PeerGateway(host="192.0.2.1", port=15443),),
    cluster=cluster_id("east"),
    domain=domain("clusterset.internal"),
    root=KEY,
    id="00112233445566ff",
    secret=bytes(16),
    expires=datetime(2026, 5, 1, tzinfo=UTC),
    pool="by-east",
)


def made_of(request: Request, *, invitation: Invitation) -> dict[str, Any]:  # Any: JSON
    return peer_of_newcomer(request, invitation=invitation, pool="by-east", key=KEY)


def asking(*hosts: str, **fields: Any) -> Request:  # Any: whatever fields it has
    gateways = tuple(PeerGateway(host=host, port=15443) for host in hosts)
    return Request(
        domain="clusterset.internal", cluster="west", uid="", csr="", clock="", gateways=gateways, **fields
    )


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7", "gw.example.org", "10.0.0.7"])
def test_a_gateway_may_be_at_an_address_or_a_name(host: str) -> None:
    assert objection(asking(host), invitation=ALONE) == ""


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "169.254.169.254", "fe80::1", "224.0.0.1"),
        *("", "a b", "http://x", "x/../y", "1.2.3", "256.1.1.1", "-x", "A" * 300, "gw\n"),
    ],
)
def test_nobody_is_made_to_dial_himself_a_metadata_service_or_nonsense(host: str) -> None:
    assert "cannot be a gateway" in objection(asking(host), invitation=ALONE)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "east", "a.localhost", "localhost.localdomain", "kubernetes.default.svc"),
        *("kubernetes.default.svc.cluster.local", "web.prod.svc.clusterset.local", "x.cluster.local"),
        *("metadata.google.internal", "metadata.internal", "instance-data.ec2.internal", "metadata.goog"),
        *("metadata.azure.internal", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"),
    ],
)
def test_nobody_is_made_to_dial_a_name_that_means_something_inside_his_own_cluster_or_cloud(
    host: str,
) -> None:
    assert "cannot be a gateway" in objection(asking(host), invitation=ALONE)


@pytest.mark.parametrize("host", ["gw.internal.example.org", "gw.east.internal", "metadata.example.org"])
def test_names_that_only_resemble_those_are_names(host: str) -> None:
    assert objection(asking(host), invitation=ALONE) == ""


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_gateway_has_a_port(port: int) -> None:
    request = Request(
        domain="", cluster="", uid="", csr="", clock="", gateways=(PeerGateway(host="192.0.2.7", port=port),)
    )
    assert "no such port" in objection(request, invitation=ALONE)


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        (("10.9.0.0/16",), ""),
        (("10.244.7.0/24",), "overlaps with 10.244.0.0/16"),
        (("fd00:1:0:7::/64",), "overlaps with fd00:1::/48"),
        (("0.0.0.0/0",), "overlaps"),
        (("11.0.0.0/7",), "do not read"),
        (("12.0.0.0/6",), "half the world"),
        (("10.9.0.1/16",), "do not read"),
        (("nonsense",), "do not read"),
    ],
)
def test_on_a_common_network_the_newcomers_pods_are_not_ours(ranges: tuple[str, ...], words: str) -> None:
    found = objection(asking(network="lan", pod_cidrs=ranges), invitation=INVITATION)
    assert words in found and bool(words) == bool(found)


@pytest.mark.parametrize("invitation", [ALONE, INVITATION])
def test_a_network_that_the_invitation_does_not_name_is_not_believed(invitation: Invitation) -> None:
    """Ruling 11: otherwise whoever has a token could say that our pods' addresses are his."""
    request = asking("192.0.2.7", network="lan2", pod_cidrs=("10.244.0.0/16",))
    assert objection(request, invitation=invitation) == ""
    assert set(made_of(request, invitation=invitation)["spec"]) == {"gateways", "pool", "key"}


def test_the_newcomer_becomes_a_peer_where_it_says() -> None:
    request = asking("192.0.2.7", "192.0.2.7", network="lan", pod_cidrs=("10.9.0.0/16",))
    assert made_of(request, invitation=INVITATION) == {
        "metadata": {"name": "west"},
        "spec": {
            "gateways": [{"host": "192.0.2.7", "port": 15443}],
            "network": "lan",
            "import": {"podCIDRs": ["10.9.0.0/16"]},
            "pool": "by-east",
            "key": KEY,
        },
    }


def test_a_newcomer_without_a_gateway_dials_and_is_waited_for() -> None:
    assert made_of(asking(), invitation=ALONE)["spec"] == {"dial": "inbound", "pool": "by-east", "key": KEY}
    assert peer_of_inviter(welcome(), request=asking())["spec"]["dial"] == "outbound"


@pytest.mark.parametrize(("own", "shared"), [("lan", True), ("", False), ("other", False)])
def test_the_inviter_is_a_peer_on_a_common_network_only_if_it_is_ours_too(own: str, shared: bool) -> None:
    spec = peer_of_inviter(welcome(network="lan"), request=asking("192.0.2.7", network=own))["spec"]
    assert spec["gateways"] == [{"host": "192.0.2.1", "port": 15443}]
    assert ("network" in spec, "import" in spec) == (shared, shared)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "localhost", "metadata.google.internal"]
)
def test_an_inviter_is_nowhere_that_a_newcomer_could_not_be(host: str) -> None:
    said = msgspec.structs.replace(welcome(), gateways=(PeerGateway(host=host, port=15443),))
    assert "cannot be a gateway" in inviter_objection(said, request=asking())


@pytest.mark.parametrize(
    ("theirs", "words"),
    [("10.244.0.0/16", ""), ("10.9.7.0/24", "overlaps with 10.9.0.0/16"), ("12.0.0.0/6", "half the world")],
)
def test_on_a_common_network_the_inviters_pods_are_not_ours(theirs: str, words: str) -> None:
    said = msgspec.structs.replace(welcome(network="lan"), pod_cidrs=(theirs,))
    found = inviter_objection(said, request=asking(network="lan", pod_cidrs=("10.9.0.0/16",)))
    assert words in found and bool(words) == bool(found)
    assert inviter_objection(said, request=asking(pod_cidrs=("10.9.0.0/16",))) == ""


def test_who_welcomes_a_newcomer_is_the_one_that_the_token_names() -> None:
    check_welcome(welcome(), token=TOKEN, request=asking())
    for said in (msgspec.structs.replace(welcome(), cluster="south"), at_loopback()):
        with pytest.raises(JoinFailed) as error:
            check_welcome(said, token=TOKEN, request=asking())
        assert error.value.code is JoinCode.WRONG_INVITER


def at_loopback() -> Welcome:
    return msgspec.structs.replace(welcome(), gateways=(PeerGateway(host="::1", port=15443),))


def welcome(*, network: str = "") -> Welcome:
    return Welcome(
        certificates=("pem",),
        trust=Offered(statement=Signed(text="")),
        cluster="east",
        gateways=(PeerGateway(host="192.0.2.1", port=15443),),
        network=network,
        pod_cidrs=("10.244.0.0/16",),
    )
