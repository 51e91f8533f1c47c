"""A Deployment that somebody applied in a member is placed by the hub, and stays the object that it is.

Nothing runs there. That no pod restarts shows in the generation: a Deployment's controller makes a new
ReplicaSet only for another pod template, and another template is another generation.
"""

import asyncio
from collections.abc import Iterator
from subprocess import CompletedProcess
from typing import Any

import pytest

from mesh_fakes.bed import Bed
from mesh_fakes.light_fleet import LightFleet, fleet_at_work
from mesh_fakes.light_members import found_at, give_node, make_ready
from mesh_fakes.waiting import until_found
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import LABEL_DISTRIBUTED
from mesh_placement.objects import Placement
from mesh_placement.resources import PLACEMENTS
from mesh_runtime.kube import NAMESPACES

from .conftest import light_pair

pytestmark = pytest.mark.asyncio

APPS = "/apis/apps/v1/namespaces/shop"
WEB = f"{APPS}/deployments/web"

# JSON, hence Any.
Json = dict[str, Any]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """`hub` and `member`, for this file alone."""
    with light_pair(tmp_path_factory.mktemp("adopt")) as bed:
        yield bed


def deployment(name: str, *, image: str = "web:1", **meta: Any) -> Json:
    labels = {"app": name}
    pod = {"containers": [{"name": "web", "image": image, "ports": [{"containerPort": 80}]}]}
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    named = {"name": name, "namespace": "shop", **meta}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": named, "spec": spec}


async def adopt(bed: Bed, workload: str, *more: str) -> "CompletedProcess[str]":
    words = ("--context", "member", "--hub-context", "hub", "-n", "shop", "--timeout", "240", *more)
    return await asyncio.to_thread(
        bed.meshctl, "--kubeconfig", str(bed.kubeconfig), "adopt", workload, *words
    )


async def placed(fleet: LightFleet, name: str = "web") -> Placement:
    return await fleet.hub.get(PLACEMENTS, name, namespace="shop")


async def test_a_running_deployment_is_adopted_without_a_new_generation_and_changed_by_the_hub_afterwards(
    pair: Bed,
) -> None:
    async with fleet_at_work(pair, members=("member",), scheduling=installed_scheduling()) as fleet:
        hub, member = fleet.hub, fleet.members["member"]
        await give_node(member)
        await member.apply(NAMESPACES, {"metadata": {"name": "shop"}}, field_manager="somebody")
        await member.apply_manifest(deployment("web"), field_manager="somebody")
        await make_ready(member, WEB)
        before = await found_at(member, WEB)
        assert before is not None

        refused = await adopt(pair, "deployment/web")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "the hub has no namespace shop" in refused.stderr
        await hub.apply(NAMESPACES, {"metadata": {"name": "shop"}}, field_manager="test")

        owned = {"apiVersion": "example.com/v1", "kind": "Shop", "name": "eu", "uid": "u", "controller": True}
        await member.apply_manifest(deployment("made", ownerReferences=[owned]), field_manager="somebody")
        refused = await adopt(pair, "deployment/made")
        assert refused.returncode == 1 and "is made by Shop eu; place that one instead" in refused.stderr
        assert "there is no Deployment shop/none" in (await adopt(pair, "deployment/none")).stderr
        shown = await adopt(pair, "deployment/web", "--show")
        assert "takeOver: IfNoDiff" in shown.stdout
        assert (await hub.list(PLACEMENTS)).items == [], "nothing half written"

        done = await adopt(pair, "deployment/web")
        assert done.returncode == 0, done.stderr
        assert "has not changed" in done.stdout
        await until_found(lambda: is_applied(fleet))
        after = await found_at(member, WEB)
        assert after is not None
        assert after["metadata"]["labels"] == {LABEL_DISTRIBUTED: "true"}
        for field in ("uid", "generation"):
            assert after["metadata"][field] == before["metadata"][field]
        assert after["spec"] == before["spec"]
        managers = {one["manager"] for one in after["metadata"]["managedFields"]}
        assert {"somebody", "meshctl-work"} <= managers
        assert (await placed(fleet)).spec.take_over == "Always"
        assert "is placed by Placement shop/web already" in (await adopt(pair, "deployment/web")).stderr

        changed = [*(await placed(fleet)).spec.manifests]
        changed[0]["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2"
        body = {"spec": {"manifests": changed}}
        await hub.merge_patch(PLACEMENTS, "web", body, namespace="shop")
        await until_found(lambda: has_image(fleet, "web:2"), limit=120.0)


async def is_applied(fleet: LightFleet) -> bool:
    conditions = (await placed(fleet)).status.conditions
    return any((one.type, one.status) == ("Applied", "True") for one in conditions)


async def has_image(fleet: LightFleet, image: str) -> bool:
    found = await found_at(fleet.members["member"], WEB)
    return found is not None and found["spec"]["template"]["spec"]["containers"][0]["image"] == image
