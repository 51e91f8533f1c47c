"""A Placement on real API servers: it lands where its rule says, moves with the rule, and leaves nothing.

Nothing runs there: the test says of the Deployments how many are ready, as their controller would.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from mesh_fakes.audit import AuditLog
from mesh_fakes.bed import Bed
from mesh_fakes.delivery import config_map, deployment, namespace
from mesh_fakes.light_fleet import LightFleet, fleet_at_work
from mesh_fakes.light_members import found_at, give_node, made_ready_if_there, make_ready
from mesh_fakes.waiting import until_found
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.objects import Placement
from mesh_placement.resources import (
    ASSIGNMENTS,
    CLUSTER_REGISTRATIONS,
    PLACEMENT_DECISIONS,
    PLACEMENT_REPORTS,
    PLACEMENTS,
    WORKS,
)
from mesh_runtime.kube import CLUSTER_PROPERTIES, KubeClient

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEMBERS = ("east", "west")
SITE = "site.topology.meshctl.dev"
CONFIG = "/api/v1/namespaces/shop/configmaps/settings"
PEAK = "/apis/apps/v1/namespaces/site/deployments/peak"
WEB = "/apis/apps/v1/namespaces/shop/deployments/web"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(three_of_light: Bed) -> AsyncIterator[LightFleet]:
    """The hub and its members at work, with room and properties as the hub knows them."""
    async with fleet_at_work(three_of_light, members=MEMBERS, scheduling=installed_scheduling()) as found:
        await given(found)
        yield found


def spec(*sites: str) -> dict[str, Any]:  # Any: JSON
    return {
        "clusterSets": ["prod"],
        "manifests": [namespace(), config_map("settings", a="1"), deployment("web", replicas=1)],
        "require": {"properties": [{"name": SITE, "operator": "In", "values": list(sites)}]},
        "replicas": {"policy": "Divide", "count": 4},
        "overrides": [
            {
                "kind": "ConfigMap",
                "matchProperties": {SITE: "cloud"},
                "patch": [{"op": "replace", "path": "/data/a", "value": "2"}],
            }
        ],
    }


async def applied(hub: KubeClient, *clusters: str) -> Placement:
    """The Placement once it is in exactly these clusters."""

    async def look() -> bool:
        status = (await hub.get(PLACEMENTS, "app", namespace="default")).status
        is_applied = any((one.type, one.status) == ("Applied", "True") for one in status.conditions)
        return is_applied and tuple(one.cluster for one in status.clusters) == clusters

    await until_found(look, limit=120.0)
    return await hub.get(PLACEMENTS, "app", namespace="default")


async def given(fleet: LightFleet) -> None:
    """Room and properties of both members, as the hub knows them."""
    for name, site in (("east", "onprem"), ("west", "cloud")):
        body = {"metadata": {"name": SITE}, "spec": {"value": site}}
        member = fleet.members[name]
        await member.apply(CLUSTER_PROPERTIES, body, field_manager="test")
        await give_node(member)

    async def are_known() -> bool:
        found = [await fleet.hub.get(CLUSTER_REGISTRATIONS, name) for name in MEMBERS]
        return all(SITE in {entry.name for entry in one.status.agent.properties} for one in found)

    await until_found(are_known, limit=120.0)


async def written(audit: AuditLog, kube: KubeClient, *resources: str) -> set[str]:
    """The namespaces in which somebody wrote, or tried to, objects of these kinds since the last look."""
    asked = await audit.until_now(kube)
    targets = [one.object_ref for one in asked if not one.is_read]
    return {one.namespace for one in targets if one.resource in resources}


async def test_a_placement_lands_where_its_rule_says_moves_with_it_and_leaves_nothing(
    three_of_light: Bed, fleet: LightFleet
) -> None:
    hub, east, west = fleet.hub, fleet.members["east"], fleet.members["west"]
    meta = {"name": "app", "namespace": "default"}
    of_hub, of_west = AuditLog.of(three_of_light, "hub"), AuditLog.of(three_of_light, "west")
    await asyncio.gather(of_hub.until_now(hub), of_west.until_now(west))
    await hub.create(PLACEMENTS, {"metadata": meta, "spec": spec("onprem")})
    await applied(hub, "east")
    # Where its rule keeps it out nobody even tried: by the API servers' own logs.
    assert await written(of_hub, hub, "works", "assignments") == {"cluster-east"}
    assert await written(of_west, west, "namespaces", "configmaps", "deployments", "appliedworks") == set()
    web, config = await asyncio.gather(found_at(east, WEB), found_at(east, CONFIG))
    assert web is not None and web["spec"]["replicas"] == 4
    assert config is not None and config["data"] == {"a": "1"}
    assert await found_at(west, CONFIG) is None
    (report,) = (await hub.list(PLACEMENT_REPORTS)).items
    assert {one.cluster: one.verdict for one in report.clusters} == {
        "east": "Selected",
        "west": "Rejected",
    }
    (decision,) = (await hub.list(PLACEMENT_DECISIONS)).items
    assert [one.cluster_profile_ref.name for one in decision.decisions] == ["east"]

    await make_ready(east, WEB)
    await hub.apply(PLACEMENTS, {"metadata": meta, "spec": spec("cloud")}, field_manager="test")
    await applied(hub, "east", "west")
    assert await found_at(east, WEB) is not None
    await make_ready(west, WEB)
    moved = await applied(hub, "west")
    assert [(one.source, one.target) for one in moved.status.history[1:]] == [("", "west"), ("east", "")]
    config = await found_at(west, CONFIG)
    assert config is not None and config["data"] == {"a": "2"}

    async def has_left() -> bool:
        return await found_at(east, WEB) is None and await found_at(east, CONFIG) is None

    await until_found(has_left)

    await hub.delete(PLACEMENTS, "app", namespace="default")

    async def is_gone() -> bool:
        return await hub.find(PLACEMENTS, "app", namespace="default") is None

    await until_found(is_gone, limit=120.0)
    assert [await found_at(west, path) for path in (WEB, CONFIG)] == [None, None]
    assert (await hub.list(PLACEMENT_REPORTS)).items == []
    assert (await hub.list(PLACEMENT_DECISIONS)).items == []
    assert (await hub.list(ASSIGNMENTS)).items == []
    assert (await hub.list(WORKS)).items == []


def tiered(count: int) -> dict[str, Any]:  # Any: JSON
    """Replicas of one CPU each: as many as fit on the own site, the others in the cloud."""
    web = deployment("peak", namespace="site")
    container = web["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"requests": {"cpu": "1", "memory": "64Mi"}}
    return {
        "clusterSets": ["prod"],
        "manifests": [namespace("site"), web],
        "tiers": [{"matchProperties": {SITE: "onprem"}}, {"matchProperties": {SITE: "cloud"}}],
        "replicas": {"policy": "Divide", "by": "Pack", "count": count},
    }


async def test_the_own_site_is_filled_first_overflows_into_the_cloud_and_is_returned_to(
    fleet: LightFleet,
) -> None:
    """A node of four CPUs in each."""

    async def comes_to(count: int, **replicas: int) -> None:
        body = {"metadata": {"name": "peak", "namespace": "default"}, "spec": tiered(count)}
        await fleet.hub.apply(PLACEMENTS, body, field_manager="test")

        async def is_there() -> bool:
            status = (await fleet.hub.get(PLACEMENTS, "peak", namespace="default")).status
            counts = {}
            for name in MEMBERS:
                count = await made_ready_if_there(fleet.members[name], PEAK)
                if count is not None:
                    counts[name] = count
            return {one.cluster: one.replicas for one in status.clusters} == counts == replicas

        await until_found(is_there, limit=120.0)

    await comes_to(3, east=3)
    await comes_to(6, east=4, west=2)
    await comes_to(5, east=4, west=1)
    await comes_to(2, east=2)
    await fleet.hub.delete(PLACEMENTS, "peak", namespace="default")
