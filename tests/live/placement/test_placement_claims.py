"""What a token's holder and an agent may ask to be signed, and whose a namespace is."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from mesh_fakes.bed import Bed
from mesh_fakes.fake_agent import FakeAgent
from mesh_fakes.placement_parts import install_parts, tried_as, until_in_force
from mesh_placement.names import claim_name, renewal_name

# JSON of any kind, hence Any.
Body = dict[str, Any]

_RBAC = "rbac.authorization.k8s.io"
HOLDER = "system:bootstrap:abcdef"
GROUPS = ("--as-group=system:bootstrappers:meshctl:prod", "--as-group=system:bootstrappers")
EAST = FakeAgent("east", driver="csr")
FINGERPRINT = EAST.fingerprint
THEIRS = {"placement.meshctl.dev/cluster": "soon-there"}
CLIENT, CLAIM = "kubernetes.io/kube-apiserver-client", "placement.meshctl.dev/claim"


@pytest.fixture(scope="module")
def hub(pair_of_light: Bed) -> Iterator[Bed]:
    """The hub with its parts; a token's holder, two agents and an ordinary tenant may create, and no more."""
    install_parts(pair_of_light)
    rules = [
        {
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["certificatesigningrequests"],
            "verbs": ["create"],
        },
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create", "get", "patch"]},
    ]
    users = (HOLDER, "meshctl:cluster:east", "tenant")
    meta = {"name": "test-claimants"}
    role = {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": meta, "rules": rules}
    binding = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": meta["name"]},
        "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": user} for user in users],
    }
    listed: Body = {"apiVersion": "v1", "kind": "List", "items": [role, binding]}
    assert tried(pair_of_light, "admin", "apply", body=listed) == ""
    until_in_force(
        lambda: asked(pair_of_light, HOLDER, claim_name("east", fingerprint=FINGERPRINT)) == "",
        lambda: "for no other certificate" in asked(pair_of_light, HOLDER, "any", signer="example.com/any"),
        lambda: "who may let that cluster in" in made(pair_of_light, "tenant", THEIRS),
    )
    yield pair_of_light
    tried(pair_of_light, "admin", "delete", body=listed)


def tried(bed: Bed, user: str, *arguments: str, body: Body | None = None) -> str:
    groups = {"admin": ("--as-group=system:masters",), HOLDER: GROUPS}.get(user, ())
    return tried_as(bed, "hub", user, *arguments, *groups, body=body)


def asked(
    bed: Bed, user: str, name: str, *, cluster: str = "east", signer: str = CLIENT, more: int = 0
) -> str:
    """What is said to a request; `more` bytes follow a whole one."""
    request = base64.b64encode(EAST.request_pem() + b"\n" * more).decode()
    usages = ["client auth", "digital signature"]
    spec = {"request": request, "signerName": signer, "usages": usages, "expirationSeconds": 604800}
    body: Body = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name, "labels": {"placement.meshctl.dev/cluster": cluster}},
        "spec": spec,
    }
    return tried(bed, user, "create", "--dry-run=server", body=body)


def made(bed: Bed, user: str, labels: dict[str, str]) -> str:
    """What is said to a namespace of a cluster's."""
    meta = {"name": "cluster-soon-there", "labels": labels}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}
    return tried(bed, user, "create", "--dry-run=server", body=body)


def test_a_claim_and_a_renewal_are_let_through(hub: Bed) -> None:
    name = claim_name("east", fingerprint=FINGERPRINT)
    assert asked(hub, HOLDER, name) == ""
    assert asked(hub, HOLDER, f"{name}-3", signer=CLAIM) == ""
    assert asked(hub, "meshctl:cluster:east", renewal_name("east", fingerprint=FINGERPRINT)) == ""
    assert asked(hub, "tenant", "whatever", cluster="", signer="example.com/other") == "", "others as before"


@pytest.mark.parametrize("signer", ["kubernetes.io/kube-apiserver-client-kubelet", "example.com/any"])
@pytest.mark.parametrize("user", [HOLDER, "meshctl:cluster:east"])
def test_no_token_and_no_agent_asks_for_another_certificate(hub: Bed, user: str, signer: str) -> None:
    """Where system:bootstrappers become nodes by themselves, a token of ours would make its holder one."""
    make = claim_name if user == HOLDER else renewal_name
    assert "for no other certificate" in asked(
        hub, user, make("east", fingerprint=FINGERPRINT), signer=signer
    )


@pytest.mark.parametrize(
    ("user", "name", "cluster"),
    [
        (HOLDER, renewal_name("west", fingerprint="sha256:0123456789"), "west"),
        (HOLDER, claim_name("west", fingerprint="sha256:0123456789"), "east"),
        (HOLDER, "anything", ""),
        ("meshctl:cluster:east", renewal_name("west", fingerprint="sha256:0123456789"), "west"),
        ("meshctl:cluster:east", renewal_name("west", fingerprint="sha256:0123456789"), "east"),
        ("meshctl:cluster:east", claim_name("east", fingerprint="sha256:0123456789"), "east"),
    ],
)
def test_nobody_takes_the_name_that_another_member_renews_under(
    hub: Bed, user: str, name: str, cluster: str
) -> None:
    assert "a renewal is made by an agent for itself" in asked(hub, user, name, cluster=cluster)


def test_a_request_is_small(hub: Bed) -> None:
    name = claim_name("east", fingerprint=FINGERPRINT)
    assert "is small" in asked(hub, HOLDER, name, more=9000)


def test_a_namespace_becomes_a_clusters_only_by_who_may_let_it_in(hub: Bed) -> None:
    """Whoever makes it before its cluster comes would read the way into the member there."""
    hub_account = "system:serviceaccount:meshctl-system:placement-hub"

    assert "who may let that cluster in" in made(hub, "tenant", THEIRS)
    assert made(hub, "tenant", {"team": "a"}) == ""
    assert made(hub, hub_account, THEIRS) == ""
    label = ("label", "--dry-run=server", "namespace", "default", "placement.meshctl.dev/cluster=soon-there")
    assert "who may let that cluster in" in tried(hub, "tenant", *label)
