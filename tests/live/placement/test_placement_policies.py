"""What RBAC cannot say, said by policies of the API server: who lets a cluster in, and who writes what."""

from collections.abc import Iterator
from typing import Any

import pytest

from mesh_fakes.bed import Bed
from mesh_fakes.placement_parts import install_parts, tried_as, until_in_force

# JSON of any kind, hence Any.
Body = dict[str, Any]

WRITER = "registrar"
DOORKEEPER = "doorkeeper"
AGENT = "meshctl:cluster:east"
AGENT_BY_TOKEN = "system:serviceaccount:cluster-east:agent"
AGENTS = (AGENT, AGENT_BY_TOKEN)
HUB = "system:serviceaccount:meshctl-system:placement-hub"
OURS = "placement.meshctl.dev/v1alpha1"


def rights(name: str, user: str, *rules: tuple[str, str, str]) -> list[Body]:
    """A ClusterRole of (group, resource, verbs) and its binding to `user`."""
    group = "rbac.authorization.k8s.io"
    parsed = [{"apiGroups": [g], "resources": [r], "verbs": verbs.split()} for g, r, verbs in rules]
    role = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": parsed}
    return [
        role,
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        },
    ]


WRITES = ("placement.meshctl.dev", "clusterregistrations", "get list create update patch delete")
AGENT_RULES = (
    ("placement.meshctl.dev", "clusterregistrations/status", "get patch update"),
    ("multicluster.x-k8s.io", "works", "get patch update"),
)


def registration(name: str = "east", **spec: Any) -> Body:
    return {
        "apiVersion": OURS,
        "kind": "ClusterRegistration",
        "metadata": {"name": name},
        "spec": {"clusterSet": "prod", **spec},
    }


@pytest.fixture(scope="module")
def hub(pair_of_light: Bed) -> Iterator[Bed]:
    """The hub with its parts, one who writes registrations, one who may let in, and an agent's rights."""
    bed = pair_of_light
    install_parts(bed)
    subjects = [
        *rights("test-writer", WRITER, WRITES),
        *rights(
            "test-doorkeeper",
            DOORKEEPER,
            WRITES,
            ("placement.meshctl.dev", "clusterregistrations/accept", "accept"),
        ),
        *rights("test-agent", AGENT, *AGENT_RULES),
        *rights("test-agent-by-token", AGENT_BY_TOKEN, *AGENT_RULES),
    ]
    listed: Body = {"apiVersion": "v1", "kind": "List", "items": subjects}
    assert tried(bed, "admin", "apply", body=listed) == ""
    dry = ("create", "--dry-run=server")
    until_in_force(
        lambda: tried(bed, WRITER, *dry, body=registration()) == "",
        lambda: tried(bed, DOORKEEPER, *dry, body=registration("west", accepted=True)) == "",
        # Whoever may not is told so by who judges rights; whoever may, that there is none.
        *(lambda who=who: "(NotFound)" in tried(bed, who, "get", "work", "none") for who in AGENTS),
        lambda: "verb accept" in tried(bed, WRITER, *dry, body=registration("west", accepted=True)),
        lambda: "placement-hub-fence" in tried(bed, HUB, *dry, body=secret("default", "a")),
    )
    yield bed
    tried(bed, "admin", "delete", body=listed)


def tried(bed: Bed, user: str, *arguments: str, body: Body | None = None) -> str:
    """See `tried_as`; admin is a user of the group that may do everything."""
    masters = ("--as-group=system:masters",) if user == "admin" else ()
    return tried_as(bed, "hub", user, *arguments, *masters, body=body)


@pytest.fixture
def east(hub: Bed) -> Iterator[Bed]:
    """A registration that nobody has accepted, with a status of the hub's."""
    assert tried(hub, WRITER, "create", body=registration()) == ""
    status = '{"status":{"phase":"Pending","id":{"uid":"u"}}}'
    assert patched_status(hub, "admin", status) == ""
    yield hub
    assert tried(hub, "admin", "delete", "clusterregistration", "east") == ""


def patched_status(bed: Bed, user: str, patch: str) -> str:
    where = ("patch", "clusterregistration", "east", "--subresource=status", "--type=merge")
    return tried(bed, user, *where, "-p", patch)


def patched(bed: Bed, user: str, patch: str) -> str:
    return tried(bed, user, "patch", "clusterregistration", "east", "--type=merge", "-p", patch)


def test_letting_in_needs_a_verb_of_its_own_and_nothing_else_does(east: Bed) -> None:
    refusal = patched(east, WRITER, '{"spec":{"accepted":true}}')
    assert "letting east in needs the verb accept" in refusal
    assert patched(east, WRITER, '{"spec":{"budgets":{"qps":5}}}') == ""
    assert patched(east, DOORKEEPER, '{"spec":{"accepted":true}}') == ""
    assert patched(east, WRITER, '{"spec":{"budgets":{"qps":6}}}') == "", "accepted already"


def test_nobody_gets_round_it_by_an_object_that_is_born_accepted(hub: Bed) -> None:
    assert "verb accept" in tried(hub, WRITER, "create", body=registration("west", accepted=True))
    assert tried(hub, DOORKEEPER, "create", body=registration("west", accepted=True)) == ""
    assert tried(hub, DOORKEEPER, "delete", "clusterregistration", "west") == ""


@pytest.mark.parametrize("agent", [AGENT, AGENT_BY_TOKEN])
def test_an_agent_writes_its_part_of_the_status_and_nothing_of_the_hubs(east: Bed, agent: str) -> None:
    assert patched_status(east, agent, '{"status":{"agent":{"kubernetes":"v1.34.4"}}}') == ""
    for theirs in (
        '{"status":{"phase":"Ready"}}',
        '{"status":{"phase":null}}',
        '{"status":{"namespace":"cluster-west"}}',
        '{"status":{"id":{"uid":"another"}}}',
        '{"status":{"taints":[]}}',
        '{"status":{"agent":{"left":"u"},"phase":"Left"}}',
    ):
        assert "writes agent and nothing else" in patched_status(east, agent, theirs), theirs


def test_an_agent_takes_the_finalizer_off_a_work_and_changes_nothing_of_it(hub: Bed) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    work: Body = {
        "apiVersion": "multicluster.x-k8s.io/v1alpha1",
        "kind": "Work",
        "metadata": {
            "name": "w",
            "namespace": "default",
            "finalizers": ["placement.meshctl.dev/applied"],
        },
        "spec": {"workload": {"manifests": [manifest]}},
    }
    assert tried(hub, "admin", "create", body=work) == ""
    try:
        for wrong in (
            '{"spec":{"workload":{"manifests":[]}}}',
            '{"metadata":{"annotations":{"placement.meshctl.dev/take-over":"Always"}}}',
            '{"metadata":{"labels":{"a":"b"}}}',
        ):
            refusal = tried(hub, AGENT, "patch", "work", "w", "--type=merge", "-p", wrong)
            assert "finalizer and the status, and nothing else" in refusal, wrong
        free = '{"metadata":{"finalizers":null}}'
        assert tried(hub, AGENT, "patch", "work", "w", "--type=merge", "-p", free) == ""
    finally:
        tried(hub, "admin", "delete", "work", "w")


def secret(namespace: str, name: str, *, kind: str = "Opaque") -> Body:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": kind}


def role(namespace: str, name: str) -> Body:
    rule = {"apiGroups": ["multicluster.x-k8s.io"], "resources": ["works"], "verbs": ["get"]}
    place = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role" if namespace else "ClusterRole",
        "metadata": {"name": name, **place},
        "rules": [rule],
    }


BOOTSTRAP = "bootstrap.kubernetes.io/token"
WITHIN: dict[str, Body] = {
    "access of a cluster": secret("cluster-fence", "access"),
    "bootstrap token": secret("kube-system", "bootstrap-token-abc123", kind=BOOTSTRAP),
    "role of a cluster": role("cluster-fence", "agent"),
    "role of profiles": role("default", "placement-profiles"),
    "rights of an agent": role("", "placement-agent-fence"),
}
BEYOND: dict[str, Body] = {
    "anybody's Secret": secret("default", "a"),
    "Secret of the system": secret("kube-system", "bootstrap-token-abc123"),
    "Secret of the mesh": secret("meshctl-system", "meshctl-intermediate"),
    "role of the system": role("kube-system", "placement-profiles"),
    "role of the mesh": role("meshctl-system", "placement-profiles"),
    "anybody's role": role("default", "a"),
    "its own role": role("", "placement-hub"),
    "a Work that is for no cluster": {
        "apiVersion": "multicluster.x-k8s.io/v1alpha1",
        "kind": "Work",
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"workload": {"manifests": []}},
    },
    "an Assignment of no cluster": {
        "apiVersion": OURS,
        "kind": "Assignment",
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {},
    },
    "account beside ours": {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "a", "namespace": "meshctl-system"},
    },
}


@pytest.mark.parametrize("body", WITHIN.values(), ids=WITHIN)
def test_the_hub_writes_what_it_makes_for_clusters(hub: Bed, body: Body) -> None:
    place: Body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cluster-fence"}}
    assert tried(hub, HUB, "apply", "--server-side", body=place) == ""
    assert tried(hub, HUB, "create", body=body) == ""
    assert tried(hub, HUB, "delete", body=body) == ""


@pytest.mark.parametrize("body", BEYOND.values(), ids=BEYOND)
def test_the_hubs_wide_role_is_fenced(hub: Bed, body: Body) -> None:
    assert "placement-hub-fence" in tried(hub, HUB, "apply", "--server-side", "--force-conflicts", body=body)


def test_the_hub_sends_away_only_what_was_ordered(hub: Bed) -> None:
    order = {"clusterSet": "prod", "provider": "local"}
    kept = {"apiVersion": OURS, "kind": "ClusterClaim", "metadata": {"name": "kept"}, "spec": order}
    ends = {**kept, "metadata": {"name": "ends"}, "spec": {**order, "drainWhenIdleSeconds": 60}}
    came = registration("ends", provision={"provider": "local", "claim": "ends", "claimUID": "u"})
    for body in (kept, ends, came, registration("members")):
        assert tried(hub, "admin", "create", body=body) == ""
    try:
        assert "ordered or imported" in tried(hub, HUB, "delete", "clusterregistration", "members")
        assert "until it stands idle" in tried(hub, HUB, "delete", "clusterclaim", "kept")
        patch = ("--type=merge", "-p", '{"spec":{"nodes":9}}')
        assert "changes no order" in tried(hub, HUB, "patch", "clusterclaim", "kept", *patch)
        held = ("--type=merge", "-p", '{"metadata":{"finalizers":["placement.meshctl.dev/ordered"]}}')
        assert tried(hub, HUB, "patch", "clusterclaim", "kept", *held) == ""
        assert tried(hub, HUB, "delete", "clusterregistration", "ends") == ""
        assert tried(hub, HUB, "delete", "clusterclaim", "ends") == ""
    finally:
        free = ("--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        tried(hub, "admin", "patch", "clusterclaim", "kept", *free)
        tried(hub, "admin", "delete", "clusterclaim", "kept", "ends", "--ignore-not-found")
        tried(hub, "admin", "delete", "clusterregistration", "members", "ends", "--ignore-not-found")


def test_the_hub_takes_no_namespace_of_the_system_away(hub: Bed) -> None:
    assert "no namespace of the system" in tried(hub, HUB, "delete", "namespace", "meshctl-system")
