"""Who may place what: policies of the API server, tried by a tenant and by the hub's own account."""

from collections.abc import Iterator
from typing import Any

import pytest

from mesh_fakes.bed import Bed
from mesh_fakes.placement_parts import install_parts, tried_as

# JSON of any kind, hence Any.
Body = dict[str, Any]

TENANT = "tenant"
TRUSTED = "trusted"
READER = "reader"
CHOOSER = "chooser"
BLIND = "blind"
HUB = "system:serviceaccount:meshctl-system:placement-hub"
OURS = "placement.meshctl.dev"
WRITES = {
    "apiGroups": [OURS],
    "resources": ["placements"],
    "verbs": ["get", "create", "update", "patch", "delete"],
}
STATUS = {"apiGroups": [OURS], "resources": ["placements/status"], "verbs": ["get", "patch", "update"]}
NAMED = {"name": "first", "namespace": "default", "labels": {"a": "b"}}
FIRST = {"apiGroups": ["scheduling.k8s.io"], "resources": ["priorityclasses"], "verbs": ["use"]}
UNCONFINED = {"apiGroups": [OURS], "resources": ["placements/unconfined"], "verbs": ["unconfined"]}


READS = {
    "apiGroups": [""],
    "resources": ["configmaps", "persistentvolumeclaims", "secrets", "serviceaccounts", "services"],
    "verbs": ["get"],
}


def rights(user: str, *rules: Body, everywhere: bool = False) -> list[Body]:
    group, kind = "rbac.authorization.k8s.io", "ClusterRole" if everywhere else "Role"
    meta = {"name": f"test-{user}", **({} if everywhere else {"namespace": "default"})}
    return [
        {"apiVersion": f"{group}/v1", "kind": kind, "metadata": meta, "rules": list(rules)},
        {
            "apiVersion": f"{group}/v1",
            "kind": f"{kind}Binding",
            "metadata": meta,
            "roleRef": {"apiGroup": group, "kind": kind, "name": f"test-{user}"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        },
    ]


def placement(name: str = "app", *, data: str = "a", **spec: Any) -> Body:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": data}}
    return {
        "apiVersion": f"{OURS}/v1alpha1",
        "kind": "Placement",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterSets": ["prod"], "manifests": [config], **spec},
    }


@pytest.fixture(scope="module")
def hub(pair_of_light: Bed) -> Iterator[Bed]:
    """A hub with its parts, one who places, and one who may place without an account."""
    install_parts(pair_of_light)
    listed = [
        *rights(TENANT, WRITES),
        *rights(TRUSTED, WRITES, STATUS, UNCONFINED),
        *rights(READER, WRITES, READS),
        *rights(
            CHOOSER, WRITES, {"apiGroups": [OURS], "resources": ["placements/templates"], "verbs": ["select"]}
        ),
        *rights(
            BLIND, WRITES, {**READS, "resources": [one for one in READS["resources"] if one != "secrets"]}
        ),
        *rights(TRUSTED, {**FIRST, "resourceNames": ["critical"]}, everywhere=True),
    ]
    body: Body = {"apiVersion": "v1", "kind": "List", "items": listed}
    assert tried(pair_of_light, "admin", "apply", body=body) == ""
    yield pair_of_light


def tried(bed: Bed, user: str, *arguments: str, body: Body | None = None) -> str:
    """See `tried_as`; admin is a user of the group that may do everything."""
    masters = ("--as-group=system:masters",) if user == "admin" else ()
    return tried_as(bed, "hub", user, *arguments, *masters, body=body)


def test_a_tenant_places_by_an_account_and_without_one_only_where_he_was_trusted(hub: Bed) -> None:
    assert "ask for the verb unconfined" in tried(hub, TENANT, "create", body=placement())
    assert tried(hub, TENANT, "create", body=placement(serviceAccount="deployer")) == ""
    assert "unconfined" in tried(hub, TENANT, "apply", body=placement(serviceAccount=""))
    assert tried(hub, TENANT, "delete", body=placement()) == ""
    assert tried(hub, TRUSTED, "create", body=placement()) == ""
    assert tried(hub, TRUSTED, "delete", body=placement()) == ""


def test_what_somebody_trusted_placed_without_an_account_is_not_changed_by_a_tenant(hub: Bed) -> None:
    assert tried(hub, TRUSTED, "create", body=placement("his")) == ""
    changed = tried(hub, TENANT, "apply", body=placement("his", data="another"))
    assert "placement-unconfined" in changed
    label = ("label", "placement", "his", "-n", "default", "a=b")
    assert tried(hub, TENANT, *label) == ""
    assert tried(hub, TRUSTED, "delete", body=placement("his")) == ""


def test_the_hubs_program_puts_a_finalizer_on_a_placement_and_changes_nothing_of_it(hub: Bed) -> None:
    assert tried(hub, TRUSTED, "create", body=placement("its", serviceAccount="deployer")) == ""
    patch = ("patch", "placement", "its", "-n", "default", "--type=merge", "-p")
    assert tried(hub, HUB, *patch, '{"metadata":{"finalizers":["placement.meshctl.dev/placed"]}}') == ""
    assert "does not say what is placed" in tried(hub, HUB, *patch, '{"spec":{"clusterSets":["other"]}}')
    assert tried(hub, HUB, *patch, '{"metadata":{"finalizers":[]}}') == ""
    assert "cannot create" in tried(hub, HUB, "apply", "--server-side", body=placement("new"))
    assert tried(hub, TRUSTED, "delete", body=placement("its")) == ""


def test_nobody_but_the_hubs_program_says_where_a_placement_is(hub: Bed) -> None:
    assert tried(hub, TRUSTED, "create", body=placement("where")) == ""
    patch = ("patch", "placement", "where", "-n", "default", "--subresource=status", "--type=merge", "-p")
    claimed = '{"status":{"revision":9,"clusters":[{"cluster":"east"}]}}'
    assert "decided by the hub's program" in tried(hub, TRUSTED, *patch, claimed)
    assert tried(hub, TRUSTED, "delete", body=placement("where")) == ""


def test_a_tenant_comes_before_others_only_by_a_class_that_he_may_use(hub: Bed) -> None:
    def first(name: str) -> Body:
        return placement("first", serviceAccount="deployer", priority={"className": name})

    assert "for who has the verb use on priorityclasses" in tried(
        hub, TENANT, "create", body=first("critical")
    )
    assert tried(hub, TRUSTED, "create", body=first("critical")) == ""
    assert "for who has the verb use" in tried(hub, TRUSTED, "apply", body=first("system-cluster-critical"))
    # What somebody may use stays while another one changes the rest.
    assert tried(hub, TENANT, "apply", body={**first("critical"), "metadata": NAMED}) == ""
    assert tried(hub, TRUSTED, "delete", body=first("critical")) == ""


def test_what_lies_in_a_namespace_is_taken_along_only_for_who_may_read_it_there(hub: Bed) -> None:
    along = {"serviceAccount": "deployer", "dependencies": "Auto"}
    for user in (TENANT, BLIND):
        assert "that is for who may get secrets" in tried(hub, user, "create", body=placement(**along))
    assert tried(hub, READER, "create", body=placement(**along)) == ""
    changed = tried(hub, BLIND, "apply", body=placement(data="another", **along))
    assert "that is for who may get secrets" in changed
    label = ("label", "placement", "app", "-n", "default", "a=b")
    assert tried(hub, BLIND, *label) == "", "what is taken along stays the same"
    assert tried(hub, READER, "delete", body=placement()) == ""


def test_templates_of_a_namespace_are_placed_only_by_who_may_select_there(hub: Bed) -> None:
    def chosen(name: str) -> Body:
        selector = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        return placement(serviceAccount="deployer", resourceSelectors=[selector])

    assert "the verb select on placements/templates" in tried(hub, TENANT, "create", body=chosen("web"))
    assert tried(hub, CHOOSER, "create", body=chosen("web")) == ""
    assert "the verb select" in tried(hub, TENANT, "apply", body=chosen("other"))
    assert tried(hub, CHOOSER, "delete", body=chosen("web")) == ""
