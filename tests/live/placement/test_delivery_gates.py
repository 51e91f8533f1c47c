"""What waits for what, what travels beside, and what comes back: Assignments on real API servers."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mesh_fakes.bed import Bed
from mesh_fakes.delivery import Delivery, between, config_map, deployment
from mesh_fakes.mortal_client import Life
from mesh_fakes.waiting import until_found
from mesh_placement.objects import Assignment, Manifest
from mesh_placement.resources import ASSIGNMENTS

pytestmark = pytest.mark.asyncio

DEFAULT = "/api/v1/namespaces/default"
WEB = "/apis/apps/v1/namespaces/default/deployments/web"
WORK_USER = {"kind": "ServiceAccount", "name": "placement-work", "namespace": "meshctl-system"}
TILLS: Manifest = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "tills.shop.example"},
    "spec": {
        "group": "shop.example",
        "scope": "Namespaced",
        "names": {"kind": "Till", "plural": "tills", "singular": "till", "listKind": "TillList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}
TILL: Manifest = {
    "apiVersion": "shop.example/v1",
    "kind": "Till",
    "metadata": {"name": "one", "namespace": "default"},
    "spec": {"drawers": 1},
}


@pytest_asyncio.fixture
async def delivery(pair_for_delivery: Bed) -> AsyncIterator[Delivery]:
    async with between(pair_for_delivery) as scene:
        yield scene


async def status(delivery: Delivery, name: str) -> Assignment:
    return await delivery.hub.get(ASSIGNMENTS, name, namespace=delivery.namespace)


async def test_a_definition_comes_before_its_objects_though_another_work_brings_it(
    delivery: Delivery,
) -> None:
    rights = [{"apiGroups": ["shop.example"], "resources": ["tills"], "verbs": ["*"]}]
    for body in (
        {"kind": "ClusterRole", "metadata": {"name": "tills"}, "rules": rights},
        {
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "tills"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tills"},
            "subjects": [WORK_USER],
        },
    ):
        manifest = {"apiVersion": "rbac.authorization.k8s.io/v1", **body}
        await delivery.member.apply_manifest(manifest, field_manager="test")
    life = Life()
    async with delivery.delivering(life=life):
        await delivery.work("objects", TILL, labels={"placement.meshctl.dev/assignment": "tills"})
        # As placement-work it might do more than its author may: so it waits for what says who applies.
        await delivery.says("objects", "Applied", "Waiting", word="Assignment/tills")
        await delivery.assignment("tills", revision=7, works=["objects", "kinds"])
        await delivery.says("objects", "Applied", "Waiting", word="Till.shop.example")
        await delivery.work("kinds", TILLS)
        await delivery.says("objects", "Applied", "Applied")

        async def is_whole() -> bool:
            return (await status(delivery, "tills")).status.applied == 7

        await until_found(is_whole)
        order = [path.split("/")[-1] for method, path in life.written if "/api" in path and method == "PATCH"]
        assert order.index("tills.shop.example") < order.index("one")
        await delivery.remove("objects")
        await delivery.remove("kinds")
    # A definition is not waited for: its API server first finishes what there is of its kind.
    await delivery.goes("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tills.shop.example")


async def test_secrets_travel_beside_and_one_inside_a_work_is_refused(delivery: Delivery) -> None:
    path = f"{DEFAULT}/secrets/password"
    inside: Manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "open", "namespace": "default"},
        "stringData": {"key": "x"},
    }
    async with delivery.delivering():
        await delivery.work("bad", inside)
        await delivery.says("bad", "Applied", "SecretInWork", word="spec.secrets")
        assert await delivery.read(f"{DEFAULT}/secrets/open") is None
        app = deployment("web", namespace="default")
        container = app["spec"]["template"]["spec"]["containers"][0]
        container["env"] = [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "password", "key": "key"}}}]
        await delivery.work("web", app)
        await delivery.says("web", "Applied", "Waiting", word="Secret/default/password[key]")
        await delivery.secret("shop-password", target="default/password", value="one")
        await delivery.assignment("web", revision=1, works=["web"], secrets=["shop-password"])
        await delivery.says("web", "Applied", "Applied")
        first = (await delivery.comes(path))["data"]["key"]
        await delivery.secret("shop-password", target="default/password", value="two")

        async def is_renewed() -> bool:
            found = await delivery.read(path)
            return found is not None and found["data"]["key"] != first

        await until_found(is_renewed)
        await delivery.hub.delete(ASSIGNMENTS, "web", namespace=delivery.namespace)
        await delivery.goes(path)
        await delivery.remove("web")
        await delivery.remove("bad")


async def counts(delivery: Delivery, *names: str) -> None:
    """What the controller of Deployments says of two pods."""
    numbers = {name: 2 for name in names}
    await delivery.member.request(
        "PATCH",
        f"{WEB}/status",
        body={"status": {"observedGeneration": 9, **numbers}},
        content_type="application/merge-patch+json",
    )


async def test_what_depends_waits_until_the_other_is_healthy_and_health_comes_back_by_itself(
    delivery: Delivery,
) -> None:
    async with delivery.delivering():
        await delivery.work("web", deployment("web", namespace="default"))
        await delivery.work("after", config_map("after", namespace="default"))
        values = [{"name": "ready", "path": ".status.readyReplicas"}]
        await delivery.assignment("web", revision=3, works=["web"], replicas=2, feedback=values)
        await delivery.assignment("after", revision=1, works=["after"], dependsOn=["web"])
        await delivery.says("after", "Applied", "Waiting", word="Assignment/web")
        await delivery.says("web", "Available", "Progressing")
        assert (await delivery.comes(WEB))["spec"]["replicas"] == 2
        assert (await status(delivery, "web")).status.visible == 0
        await counts(delivery, "replicas", "updatedReplicas")

        async def is_visible() -> bool:
            found = (await status(delivery, "web")).status
            return (found.visible, found.health) == (3, "Progressing")

        await until_found(is_visible)
        await counts(delivery, "readyReplicas", "availableReplicas")
        await delivery.says("web", "Available", "Healthy")
        await delivery.says("after", "Applied", "Applied")

        async def is_told() -> bool:
            found = (await status(delivery, "web")).status
            told = [(one.name, one.value) for one in found.feedback]
            return (found.replicas.ready, found.health, told) == (2, "Healthy", [("ready", "2")])

        await until_found(is_told)
        for name in ("after", "web"):
            await delivery.remove(name)
            await delivery.hub.delete(ASSIGNMENTS, name, namespace=delivery.namespace)


async def test_who_scales_a_workload_keeps_the_count_and_all_else_is_still_ours(delivery: Delivery) -> None:
    async with delivery.delivering():
        await delivery.work("web", deployment("web", namespace="default"))
        await delivery.says("web", "Applied", "Applied")
        await delivery.member.request(
            "PATCH",
            f"{WEB}/scale?fieldManager=autoscaler",
            body={"spec": {"replicas": 5}},
            content_type="application/merge-patch+json",
        )
        changed = deployment("web", namespace="default")
        changed["spec"]["template"]["spec"]["containers"][0]["image"] = "app:2"
        await delivery.work("web", changed)

        async def is_changed() -> bool:
            spec = (await delivery.comes(WEB))["spec"]
            return bool(spec["template"]["spec"]["containers"][0]["image"] == "app:2")

        await until_found(is_changed)
        assert (await delivery.comes(WEB))["spec"]["replicas"] == 5
        await delivery.says("web", "Applied", "Applied")
        await delivery.remove("web")


async def test_an_account_without_the_right_is_named(delivery: Delivery) -> None:
    async with delivery.delivering():
        tenant = {"name": "tenant", "namespace": "default"}
        await delivery.assignment("tenant", revision=1, works=["tenant"], serviceAccount=tenant)
        await delivery.work("tenant", config_map("theirs", namespace="default"))
        await delivery.says("tenant", "Applied", "Forbidden", word="system:serviceaccount:default:tenant")
        assert await delivery.read(f"{DEFAULT}/configmaps/theirs") is None
        await delivery.remove("tenant")
