"""What a rule of the hub says of a custom resource, in a member with real API servers."""

from typing import Any

import pytest

from mesh_fakes.bed import Bed
from mesh_fakes.delivery import Delivery, between
from mesh_fakes.waiting import until_found
from mesh_placement.objects import Manifest
from mesh_placement.resources import ASSIGNMENTS

pytestmark = pytest.mark.asyncio

GROUP = "rules.example.com"
FARM_PATH = f"/apis/{GROUP}/v1/namespaces/default/farms/one"
OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
FARMS: Manifest = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"farms.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"kind": "Farm", "plural": "farms", "singular": "farm", "listKind": "FarmList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {"type": "object", "properties": {"spec": OPEN, "status": OPEN}}
                },
            }
        ],
    },
}
FARM: Manifest = {
    "apiVersion": f"{GROUP}/v1",
    "kind": "Farm",
    "metadata": {"name": "one", "namespace": "default"},
    "spec": {"replicas": 9, "worker": {"count": 1, "image": "app:1"}},
}
TOLD = {
    "apiVersion": f"{GROUP}/v1",
    "kind": "Farm",
    "health": {"path": ".status.state", "healthy": ["Running"], "degraded": ["Failed"]},
    "replicas": ".spec.worker.count",
}

RBAC = "/apis/rbac.authorization.k8s.io/v1"
MADE = (
    f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/farms.{GROUP}",
    f"{RBAC}/clusterrolebindings/farms",
    f"{RBAC}/clusterroles/farms",
)


async def let_in(delivery: Delivery) -> None:
    """The kind is there, and who applies may have its objects."""
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "farms"}}
    rules = [{"apiGroups": [GROUP], "resources": ["farms"], "verbs": ["*"]}]
    who = {"kind": "ServiceAccount", "name": "placement-work", "namespace": "meshctl-system"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "farms"}
    for manifest in (
        FARMS,
        {**head, "kind": "ClusterRole", "rules": rules},
        {**head, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": [who]},
    ):
        await delivery.member.apply_manifest(manifest, field_manager="test")


async def test_a_member_writes_its_share_where_the_rule_says_and_judges_by_the_value_that_it_names(
    pair_for_delivery: Bed,
) -> None:
    async with between(pair_for_delivery) as delivery, delivery.delivering():
        await let_in(delivery)
        await delivery.assignment("farm", revision=1, works=["farm"], replicas=3, interpretations=[TOLD])
        await delivery.work("farm", FARM)
        there = await delivery.comes(FARM_PATH)
        assert there["spec"] == {"replicas": 9, "worker": {"count": 3, "image": "app:1"}}
        await said(delivery, health="Progressing", desired=3, ready=0)
        await state(delivery, "Running")
        await said(delivery, health="Healthy", desired=3, ready=3)
        await state(delivery, "Failed")
        await said(delivery, health="Degraded", desired=3, ready=0)
        await delivery.assignment("farm", revision=2, works=["farm"], replicas=4)

        async def is_by_convention() -> bool:
            found = await delivery.comes(FARM_PATH)
            return bool(found["spec"] == {"replicas": 4, "worker": {"count": 1, "image": "app:1"}})

        await until_found(is_by_convention)
        await said(delivery, health="Healthy", desired=4, ready=0)
        await delivery.remove("farm")
        await delivery.hub.delete(ASSIGNMENTS, "farm", namespace=delivery.namespace)
        for path in MADE:
            await delivery.member.request("DELETE", path)


async def state(delivery: Delivery, word: str) -> None:
    """What the controller of farms says."""
    body: Any = {"status": {"state": word}}  # JSON
    await delivery.member.request(
        "PATCH", f"{FARM_PATH}/status", body=body, content_type="application/merge-patch+json"
    )


async def said(delivery: Delivery, *, health: str, desired: int, ready: int) -> None:
    """Wait until the member says so to the hub."""

    async def look() -> bool:
        one = (await delivery.hub.get(ASSIGNMENTS, "farm", namespace=delivery.namespace)).status
        return (one.health, one.replicas.desired, one.replicas.ready) == (health, desired, ready)

    await until_found(look)
