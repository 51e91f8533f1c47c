"""What the accounts of registration may do on a real API server, to the last verb, against files to be read.

When rules change, this test fails and says where the new table lies: look at it, then put it in the place of
the file under tests/live/golden.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mesh_cli.check.rights import CLUSTER_ROLES, ROLES
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.access import ELSEWHERE, VERBS, Question, allowed, matrix, questions, resources
from mesh_fakes.bed import Bed
from mesh_fakes.placement_parts import install_parts, tried_as
from mesh_placement.names import ACCESS, AGENT, HUB, HUB_ACCESS_ACCOUNT, WORK_ACCOUNT
from mesh_runtime.kube import KubeClient

pytestmark = pytest.mark.asyncio

ACCOUNTS = {"hub": (HUB, ACCESS), "member": (AGENT, WORK_ACCOUNT, HUB_ACCESS_ACCOUNT)}
NOBODYS = "somebody-elses"
OURS = "placement.meshctl.dev"
STANDARD = "multicluster.x-k8s.io"
RBAC = "rbac.authorization.k8s.io"
SIGNERS = "certificates.k8s.io"
HEAD = """\
# What each ServiceAccount of a {cluster} may do: where, on what, which verbs. A line more is a right more.
# What every account of a cluster may do is in it too. Found by tests/live/placement/test_placement_rights.py.
"""


@pytest.fixture(scope="module")
def parts(pair_of_light: Bed) -> Iterator[Bed]:
    """Hub and member with their accounts."""
    install_parts(pair_of_light)
    yield pair_of_light


async def every_question(kube: KubeClient, cluster: str) -> list[Question]:
    """All verbs on all resources, and on the objects that our rules name and one that they do not."""
    roles = (await kube.list(CLUSTER_ROLES)).items + (await kube.list(ROLES)).items
    named = {
        (group, resource, name)
        for role in roles
        if role.metadata.name.startswith(ACCOUNTS[cluster])
        for rule in role.rules or ()
        for group in rule.api_groups
        for resource in rule.resources
        for name in (*rule.resource_names, NOBODYS)
        if rule.resource_names
    }
    elsewhere = [
        Question(group, resource, verb, namespace, name)
        for group, resource, name in (*named, ("", "configmaps", ""), ("", "secrets", ""))
        for verb in VERBS
        for namespace in ("kube-system", "kube-public")
    ]
    return questions(await resources(kube), names=named) + elsewhere


@pytest.mark.parametrize("cluster", ACCOUNTS)
async def test_each_account_may_exactly_what_the_file_says(parts: Bed, tmp_path: Path, cluster: str) -> None:
    golden = Path(__file__).parents[1] / "golden" / f"placement-{cluster}.yaml"
    async with parts.client(cluster) as kube:
        asked = await every_question(kube, cluster)
        assert len(asked) > 2000
        found = {account: matrix(await allowed(kube, account, asked=asked)) for account in ACCOUNTS[cluster]}
    text = HEAD.format(cluster=cluster) + yaml.safe_dump(
        found, sort_keys=True, default_flow_style=None, width=110
    )
    (tmp_path / golden.name).write_text(text)
    assert golden.exists() and yaml.safe_load(golden.read_text()) == found, (
        f"rights have changed; they are in {tmp_path}/{golden.name}"
    )


NEVER = [
    Question("*", "*", "get"),
    Question("*", "*", "*"),
    Question("", "pods/exec", "create"),
    Question("", "pods/portforward", "create"),
    Question("", "nodes/proxy", "get"),
    Question("", "nodes", "patch"),
    Question("", "groups", "impersonate", name="system:masters"),
    Question(SIGNERS, "signers", "sign"),
    Question(SIGNERS, "signers", "approve"),
    Question(SIGNERS, "signers", "approve", name="meshctl.dev/intermediate"),
    Question(SIGNERS, "signers", "approve", name="kubernetes.io/kubelet-serving"),
    Question(SIGNERS, "certificatesigningrequests/status", "patch"),
    Question(RBAC, "roles", "escalate"),
    Question(RBAC, "clusterroles", "escalate"),
    Question(RBAC, "roles", "bind"),
    Question(RBAC, "clusterroles", "bind"),
    Question("admissionregistration.k8s.io", "validatingadmissionpolicies", "delete"),
    Question("admissionregistration.k8s.io", "validatingadmissionpolicybindings", "patch"),
    Question("admissionregistration.k8s.io", "validatingwebhookconfigurations", "create"),
    Question("meshctl.dev", "trustbundles", "create"),
]
OF_HUB = [
    Question(OURS, "placements", "create"),
    Question(OURS, "placements", "delete"),
    Question(OURS, "placements/unconfined", "unconfined"),
    Question("", "serviceaccounts", "impersonate"),
    Question("", "users", "impersonate"),
    Question("", "serviceaccounts/token", "create", SYSTEM_NAMESPACE, "placement-access"),
    Question("apps", "deployments", "patch", SYSTEM_NAMESPACE),
    Question("apiextensions.k8s.io", "customresourcedefinitions", "patch"),
]
OF_ACCESS = [
    Question("", "secrets", "get", ELSEWHERE, NOBODYS),
    Question("", "secrets", "list", SYSTEM_NAMESPACE),
    Question("", "secrets", "list"),
    Question("", "users", "impersonate"),
    Question(OURS, "clusterregistrations", "patch"),
]
OF_AGENT = [
    Question("", "secrets", "list", SYSTEM_NAMESPACE),
    Question("", "secrets", "get", SYSTEM_NAMESPACE, "meshctl-intermediate"),
    Question("", "secrets", "get", ELSEWHERE),
    Question("", "secrets", "create", ELSEWHERE),
    Question("", "serviceaccounts", "impersonate", SYSTEM_NAMESPACE),
    Question("", "serviceaccounts", "impersonate", ELSEWHERE, "default"),
    Question("", "users", "impersonate"),
    Question("", "serviceaccounts/token", "create", SYSTEM_NAMESPACE, "meshctl-controller"),
    Question("", "namespaces", "create"),
    Question("apps", "deployments", "patch", SYSTEM_NAMESPACE),
    Question(RBAC, "clusterroles", "create"),
    Question(RBAC, "clusterroles", "delete"),
]
OF_WORK = [
    Question("", "serviceaccounts", "impersonate", SYSTEM_NAMESPACE),
    Question("", "pods", "create"),
    Question("", "nodes", "get"),
    Question(STANDARD, "appliedworks", "patch"),
    Question("meshctl.dev", "meshpeers", "get"),
]
OF_HUB_ACCESS = [
    Question("", "serviceaccounts", "impersonate", ELSEWHERE),
    Question("", "serviceaccounts", "impersonate", SYSTEM_NAMESPACE, "meshctl-controller"),
    Question("", "secrets", "get"),
    Question("", "pods", "get"),
]
FORBIDDEN = {
    HUB: ("hub", NEVER + OF_HUB),
    ACCESS: ("hub", NEVER + OF_ACCESS),
    AGENT: ("member", NEVER + OF_AGENT),
    WORK_ACCOUNT: ("member", NEVER + OF_WORK),
    # Whom it may be is the proxy's to say; whoever has its token is whom he wants but for accounts.
    HUB_ACCESS_ACCOUNT: ("member", [one for one in NEVER if one.resource != "groups"] + OF_HUB_ACCESS),
}


@pytest.mark.parametrize("account", FORBIDDEN)
async def test_an_account_of_registration_may_never(parts: Bed, account: str) -> None:
    cluster, asked = FORBIDDEN[account]
    async with parts.client(cluster) as kube:
        assert await allowed(kube, account, asked=asked) == []


@pytest.mark.parametrize(
    ("what", "may"),
    [
        (("get", "configmap", "meshctl-hub"), True),
        (("get", "configmap", "meshctl-tombstones"), True),
        (("get", "configmap", "another"), False),
        (("get", "configmaps"), False),
        (("delete", "configmap", "meshctl-tombstones"), False),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else str(one),
)
async def test_who_has_no_credential_reads_where_the_hub_is_and_who_was_let_go_and_nothing_else(
    parts: Bed, what: tuple[str, ...], may: bool
) -> None:
    said = tried_as(parts, "hub", "system:anonymous", *what, "-n", "kube-public")
    # Whether there is one is another test's doing.
    assert ("(NotFound)" in said or not said) if may else "(Forbidden)" in said
