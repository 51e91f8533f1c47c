"""Deployments that lie in a hub which runs none are placed as they are, on real API servers."""

from collections.abc import Iterator
from typing import Any

import pytest

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_fakes.light_fleet import LightFleet, fleet_at_work
from mesh_fakes.light_members import found_at, give_node
from mesh_fakes.waiting import until_found
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import DEDICATED, DEPENDENCIES_ACCOUNT, HUB_INFO
from mesh_placement.resources import CLUSTER_ROLE_BINDINGS, PLACEMENTS
from mesh_runtime.kube import CONFIG_MAPS, NAMESPACES

from .conftest import light_pair

pytestmark = pytest.mark.asyncio

SHOP = "/api/v1/namespaces/shop"
WEB = "/apis/apps/v1/namespaces/shop/deployments/web"

# JSON, hence Any.
Json = dict[str, Any]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """`hub` and `member`, for this file alone: the hub is dedicated."""
    with light_pair(tmp_path_factory.mktemp("templates")) as bed:
        yield bed


def template(image: str) -> Json:
    labels = {"app": "web"}
    pod = {
        "containers": [{"name": "web", "image": image, "envFrom": [{"configMapRef": {"name": "settings"}}]}]
    }
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    meta = {"name": "web", "namespace": "shop", "labels": labels}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


async def dedicate(fleet: LightFleet) -> None:
    """As `meshctl hub init --dedicated` and docs/placement.md do it."""
    change = {"data": {DEDICATED: "true"}}
    await fleet.hub.merge_patch(CONFIG_MAPS, HUB_INFO, change, namespace="kube-public")
    account = {"kind": "ServiceAccount", "name": DEPENDENCIES_ACCOUNT, "namespace": SYSTEM_NAMESPACE}
    for role in (DEPENDENCIES_ACCOUNT, "placement-templates"):
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        body = {"metadata": {"name": role}, "roleRef": ref, "subjects": [account]}
        await fleet.hub.apply(CLUSTER_ROLE_BINDINGS, body, field_manager="test")


async def image(fleet: LightFleet) -> str:
    found = await found_at(fleet.members["member"], WEB)
    return found["spec"]["template"]["spec"]["containers"][0]["image"] if found is not None else ""


async def is_said(fleet: LightFleet, reason: str) -> bool:
    found = await fleet.hub.get(PLACEMENTS, "app", namespace="shop")
    return any((one.type, one.reason) == ("Scheduled", reason) for one in found.status.conditions)


async def test_a_template_of_a_dedicated_hub_is_placed_with_what_it_names_until_a_controller_acts_on_it(
    pair: Bed,
) -> None:
    async with fleet_at_work(pair, members=("member",), scheduling=installed_scheduling()) as fleet:
        hub, member = fleet.hub, fleet.members["member"]
        await give_node(member)
        for client in (hub, member):
            await client.apply(NAMESPACES, {"metadata": {"name": "shop"}}, field_manager="somebody")
        await hub.apply_manifest(template("web:1"), field_manager="somebody")
        config = {"metadata": {"name": "settings", "namespace": "shop"}, "data": {"a": "1"}}
        await hub.apply(CONFIG_MAPS, config, field_manager="somebody")
        spec = {
            "clusterSets": ["prod"],
            "resourceSelectors": [
                {"apiVersion": "apps/v1", "kind": "Deployment", "matchLabels": {"app": "web"}}
            ],
            "dependencies": "Auto",
        }
        body = {"metadata": {"name": "app", "namespace": "shop"}, "spec": spec}
        await hub.apply(PLACEMENTS, body, field_manager="test")
        await until_found(lambda: is_said(fleet, "TemplateWouldRunOnHub"), limit=120.0)

        await dedicate(fleet)
        await until_found(lambda: has_image(fleet, "web:1"), limit=120.0)
        found = await found_at(member, f"{SHOP}/configmaps/settings")
        assert found is not None and found["data"] == {"a": "1"}
        await hub.apply_manifest(template("web:2"), field_manager="somebody")
        await until_found(lambda: has_image(fleet, "web:2"), limit=120.0)

        acted = {"status": {"observedGeneration": 1}}
        await hub.request("PATCH", f"{WEB}/status", body=acted, content_type="application/merge-patch+json")
        await until_found(lambda: is_said(fleet, "TemplateWouldRunOnHub"), limit=120.0)
        assert await image(fleet) == "web:2", "members keep what they have"

        await hub.delete(PLACEMENTS, "app", namespace="shop")
        await until_found(lambda: is_gone(fleet), limit=120.0)
        assert await found_at(member, WEB) is None
        assert await found_at(hub, WEB) is not None


async def has_image(fleet: LightFleet, wanted: str) -> bool:
    return await image(fleet) == wanted


async def is_gone(fleet: LightFleet) -> bool:
    return await fleet.hub.find(PLACEMENTS, "app", namespace="shop") is None
