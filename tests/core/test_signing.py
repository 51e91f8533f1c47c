"""Who may have which leaf, and what becomes of a request."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from mesh_core.identity import Component
from mesh_core.objects import CertificateSigningRequest, Condition, Meta
from mesh_core.objects.platform import RequestSpec, RequestStatus
from mesh_core.signing import (
    Issued,
    Leave,
    Refusal,
    Refuse,
    Refused,
    Remove,
    Sign,
    judge_leaf,
    outcome,
)

NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
GATEWAY = "system:serviceaccount:meshctl-system:meshctl-gateway"


def request(
    username: str = GATEWAY,
    *conditions: str,
    usages: tuple[str, ...] = ("digital signature", "client auth", "server auth"),
    certificate: str | None = None,
) -> CertificateSigningRequest:
    return CertificateSigningRequest(
        metadata=Meta(name="r", creation_timestamp="2026-01-01T12:00:00Z"),
        spec=RequestSpec(request="", signer_name="meshctl.dev/leaf", usages=usages, username=username),
        status=RequestStatus(
            conditions=tuple(Condition(type=kind, status="True", reason="R") for kind in conditions),
            certificate=certificate,
        ),
    )


@pytest.mark.parametrize(
    ("account", "component"),
    [
        ("meshctl-gateway", Component.GATEWAY),
        ("meshctl-dns", Component.DNS),
        ("placement-access", Component.ACCESS),
        ("placement-hub", Component.ACCESS),
    ],
)
def test_the_service_account_decides_the_component(account: str, component: Component) -> None:
    asked = request(f"system:serviceaccount:meshctl-system:{account}")
    assert judge_leaf(asked, now=NOW) == Sign(component=component, approve=True)


@pytest.mark.parametrize(
    "username",
    [
        "",
        "admin",
        "meshctl-gateway",
        "system:serviceaccount:default:meshctl-gateway",
        "system:serviceaccount:meshctl-system:meshctl-controller",
        "system:serviceaccount:default:placement-access",
        "system:serviceaccount:default:placement-hub",
        "system:serviceaccount:meshctl-system:placement-agent",
        "system:serviceaccount:meshctl-system:placement-hub-access",
        "system:serviceaccount:meshctl-system:meshctl-gateway2",
        "system:serviceaccount:meshctl-system:MESHCTL-GATEWAY",
        " system:serviceaccount:meshctl-system:meshctl-gateway",
        "system:node:meshctl-gateway",
    ],
)
def test_nobody_else_gets_a_leaf(username: str) -> None:
    verdict = judge_leaf(request(username), now=NOW)
    assert isinstance(verdict, Refuse)
    assert verdict.reason is Refusal.REQUESTER


def test_an_approval_by_somebody_else_gives_no_stranger_a_leaf() -> None:
    assert isinstance(judge_leaf(request("admin", "Approved"), now=NOW), Refuse)


def test_an_approved_request_is_signed_without_approving_again() -> None:
    assert judge_leaf(request(GATEWAY, "Approved"), now=NOW) == Sign(
        component=Component.GATEWAY, approve=False
    )


def test_a_leaf_is_for_handshakes_only() -> None:
    verdict = judge_leaf(request(usages=("client auth", "cert sign")), now=NOW)
    assert isinstance(verdict, Refuse)
    assert verdict.reason is Refusal.USAGES
    assert "cert sign" in verdict.message


@pytest.mark.parametrize(
    "decided",
    [
        request(GATEWAY, "Denied"),
        request(GATEWAY, "Approved", "Failed"),
        request(GATEWAY, "Approved", certificate=base64.b64encode(b"PEM").decode()),
    ],
)
def test_what_is_decided_is_left_alone(decided: CertificateSigningRequest) -> None:
    assert judge_leaf(decided, now=NOW) == Leave()


@pytest.mark.parametrize("old", [request(), request("admin"), request(GATEWAY, "Denied")])
def test_an_old_request_is_removed_whatever_became_of_it(old: CertificateSigningRequest) -> None:
    assert judge_leaf(old, now=NOW + timedelta(minutes=14)) != Remove()
    assert judge_leaf(old, now=NOW + timedelta(minutes=15)) == Remove()


def test_a_certificate_is_an_answer() -> None:
    answered = request(GATEWAY, "Approved", certificate=base64.b64encode(b"PEM").decode())
    assert outcome(answered) == Issued(b"PEM")


def test_a_refusal_outweighs_a_certificate() -> None:
    text = base64.b64encode(b"PEM").decode()
    assert outcome(request(GATEWAY, "Approved", "Failed", certificate=text)) == Refused("Failed: R")


def test_an_unreadable_certificate_is_a_refusal() -> None:
    assert isinstance(outcome(request(GATEWAY, "Approved", certificate="%")), Refused)


def test_an_open_request_has_no_outcome() -> None:
    assert outcome(request(GATEWAY, "Approved")) is None
