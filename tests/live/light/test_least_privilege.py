"""What our accounts may do on a real API server, to the last verb, against a file that reviewers read.

When rules change, this test fails and says where the new table lies: look at it, then put it in the place of
tests/live/golden/rbac.yaml.
"""

from pathlib import Path

import pytest
import yaml

from mesh_cli.check.rights import CLUSTER_ROLES, ROLES
from mesh_core.names import CONTROLLER, DNS, GATEWAY, SYSTEM_NAMESPACE
from mesh_fakes.access import ELSEWHERE, Question, allowed, matrix, questions, resources
from mesh_fakes.bed import Bed
from mesh_runtime.kube import KubeClient

pytestmark = pytest.mark.asyncio

GOLDEN = Path(__file__).parents[1] / "golden" / "rbac.yaml"
ACCOUNTS = (CONTROLLER, GATEWAY, DNS)
NOBODYS = "somebody-elses"
HEAD = """\
# What each ServiceAccount may do: where, on what, which verbs. Read by people: a line more is a right more.
# What every account of a cluster may do is in it too. Found by tests/live/light/test_least_privilege.py.
"""


async def every_question(kube: KubeClient) -> list[Question]:
    """All verbs on all resources, and on the objects that our rules name and one that they do not."""
    roles = (await kube.list(CLUSTER_ROLES)).items + (
        await kube.list(ROLES, namespace=SYSTEM_NAMESPACE)
    ).items
    named = {
        (group, resource, name)
        for role in roles
        if role.metadata.name in ACCOUNTS
        for rule in role.rules or ()
        for group in rule.api_groups
        for resource in rule.resources
        for name in (*rule.resource_names, NOBODYS)
        if rule.resource_names
    }
    return questions(await resources(kube), names=named)


async def test_each_account_may_exactly_what_the_file_says(light: Bed, tmp_path: Path) -> None:
    async with light.client("alone") as kube:
        asked = await every_question(kube)
        assert len(asked) > 2000
        found = {account: matrix(await allowed(kube, account, asked=asked)) for account in ACCOUNTS}
    text = HEAD + yaml.safe_dump(found, sort_keys=True, default_flow_style=None, width=110)
    (tmp_path / "rbac.yaml").write_text(text)
    assert yaml.safe_load(GOLDEN.read_text()) == found, (
        f"rights have changed; they are in {tmp_path}/rbac.yaml"
    )


SIGNERS = "certificates.k8s.io"
RBAC = "rbac.authorization.k8s.io"
NEVER = [
    Question("", "secrets", "list", SYSTEM_NAMESPACE),
    Question("", "secrets", "watch", SYSTEM_NAMESPACE),
    Question("", "secrets", "get", SYSTEM_NAMESPACE, NOBODYS),
    Question("", "secrets", "list"),
    Question("", "secrets", "get", ELSEWHERE, "meshctl-intermediate"),
    Question("", "secrets", "create", ELSEWHERE),
    Question("", "configmaps", "get", "kube-system", "coredns"),
    Question("", "configmaps", "patch", "kube-system", "coredns"),
    Question("", "services", "*"),
    Question("*", "*", "get"),
    Question("*", "*", "*"),
    Question(SIGNERS, "signers", "sign", name="meshctl.dev/intermediate"),
    Question(SIGNERS, "signers", "approve", name="meshctl.dev/intermediate"),
    Question(SIGNERS, "signers", "sign", name="kubernetes.io/kube-apiserver-client"),
    Question(SIGNERS, "signers", "approve", name="kubernetes.io/kubelet-serving"),
    Question(SIGNERS, "signers", "sign"),
    Question("", "nodes", "patch"),
    Question("", "nodes/status", "patch"),
    Question("", "nodes/proxy", "get"),
    Question("", "pods", "create", SYSTEM_NAMESPACE),
    Question("", "pods", "delete", SYSTEM_NAMESPACE),
    Question("", "pods/exec", "create", SYSTEM_NAMESPACE),
    Question("", "pods/portforward", "create", SYSTEM_NAMESPACE),
    Question("", "pods/ephemeralcontainers", "patch", SYSTEM_NAMESPACE),
    Question("", "serviceaccounts/token", "create", SYSTEM_NAMESPACE),
    Question("", "users", "impersonate"),
    Question("", "groups", "impersonate"),
    Question("", "serviceaccounts", "impersonate"),
    Question(RBAC, "roles", "escalate"),
    Question(RBAC, "clusterroles", "bind"),
    Question(RBAC, "rolebindings", "create", SYSTEM_NAMESPACE),
    Question("apps", "deployments", "patch", SYSTEM_NAMESPACE),
    Question("meshctl.dev", "trustbundles", "patch", name="clusterset"),
    Question("meshctl.dev", "trustbundles", "create"),
    Question("multicluster.x-k8s.io", "serviceexports", "patch"),
    Question("admissionregistration.k8s.io", "validatingwebhookconfigurations", "create"),
]


@pytest.mark.parametrize("account", ACCOUNTS)
async def test_nobody_of_ours_may(light: Bed, account: str) -> None:
    async with light.client("alone") as kube:
        assert await allowed(kube, account, asked=NEVER) == []
