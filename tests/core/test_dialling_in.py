"""What the hub writes into a member that it dials in to."""

import base64

import pytest

from mesh_core.objects import Meta, Secret
from mesh_placement.decide.bootstrap_token import BootstrapToken
from mesh_placement.decide.dialling_in import (
    BadManifests,
    RegisteredElsewhere,
    check_is_free,
    manifests_of,
    settings_of,
)
from mesh_placement.decide.profile import HubAddress
from mesh_placement.objects import ClusterRegistration, ClusterRegistrationSpec

HUB = HubAddress(server="https://hub:6443", ca="PEM")
AGENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: placement-agent}
---
---
apiVersion: v1
kind: Namespace
metadata: {name: meshctl-system}
"""
CONSENT = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: placement-hub-access}}"


@pytest.mark.parametrize(
    ("access", "kinds"),
    [
        (False, ["Namespace", "Deployment"]),
        (True, ["Namespace", "ServiceAccount", "Deployment"]),
    ],
)
def test_what_others_need_comes_first_and_consent_only_where_it_was_given(
    access: bool, kinds: list[str]
) -> None:
    made = manifests_of({"access.yaml": CONSENT, "agent.yaml": AGENT}, access=access)
    assert [one["kind"] for one in made] == kinds


@pytest.mark.parametrize("text", ["", "[1]", "{kind: A}", "{metadata: {}}", "a: [", "x"])
def test_what_is_no_manifest_is_named(text: str) -> None:
    with pytest.raises(BadManifests):
        manifests_of({"agent.yaml": text}, access=False)


def settings(server: str, cluster: str) -> Secret:
    said = {"server": server, "cluster-id": cluster}
    return Secret(
        metadata=Meta(name="placement-hub"),
        data={name: base64.b64encode(value.encode()).decode() for name, value in said.items()},
    )


def test_a_member_of_another_hub_is_left_alone() -> None:
    check_is_free(None, hub=HUB, cluster="east")
    check_is_free(settings("https://hub:6443/", "east"), hub=HUB, cluster="east")
    for other in (settings("https://other:6443", "east"), settings("https://hub:6443", "west")):
        with pytest.raises(RegisteredElsewhere, match="is registered as"):
            check_is_free(other, hub=HUB, cluster="east")


def test_the_agent_is_told_all_that_it_needs() -> None:
    known = ClusterRegistration(
        metadata=Meta(name="east"), spec=ClusterRegistrationSpec(cluster_set="prod", driver="token")
    )
    token = BootstrapToken(id="abcdef", secret="0123456789abcdef")
    body = settings_of(known, hub=HUB, token=token, advertise="https://east:6443", access=True)
    assert {name: base64.b64decode(value).decode() for name, value in body["data"].items()} == {
        "server": "https://hub:6443",
        "ca.crt": "PEM",
        "cluster-id": "east",
        "cluster-set": "prod",
        "driver": "token",
        "mode": "Auto",
        "token": "abcdef.0123456789abcdef",
        "advertise": "https://east:6443",
        "access": "true",
    }
