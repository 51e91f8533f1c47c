"""Pull to Push and back: another engine, the same objects."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mesh_fakes.bed import Bed
from mesh_fakes.delivery import Delivery, Json, between, config_map, deployment
from mesh_fakes.waiting import until_found
from mesh_placement.hub.push_loop import PushLoop
from mesh_placement.names import AGENT_MANAGER, HUB_MANAGER
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import Informer

pytestmark = pytest.mark.asyncio

CONFIG = "/api/v1/namespaces/default/configmaps/settings"
WEB = "/apis/apps/v1/namespaces/default/deployments/web"


@asynccontextmanager
async def pushing(delivery: Delivery, bed: Bed) -> AsyncIterator[None]:
    """The hub's loop, with a way to the member."""
    registrations = Informer(delivery.hub, CLUSTER_REGISTRATIONS)
    loop = PushLoop(
        delivery.hub, registrations=registrations, way=lambda _name: bed.client("member"), clock=utc_now
    )
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(registrations.run()), group.create_task(loop.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def register(delivery: Delivery, *, distribution: str, applies: bool) -> None:
    """As hub and agent say it together."""
    meta = {"name": "member"}
    spec = {"clusterSet": "prod", "accepted": True, "distribution": distribution}
    hub, agent = {"phase": "Ready", "namespace": delivery.namespace}, {"agent": {"applies": applies}}
    kube = delivery.hub
    await kube.apply(CLUSTER_REGISTRATIONS, {"metadata": meta, "spec": spec}, field_manager="test")
    for manager, status in ((HUB_MANAGER, hub), (AGENT_MANAGER, agent)):
        body: Json = {"metadata": meta, "status": status}
        await kube.apply(CLUSTER_REGISTRATIONS, body, field_manager=manager, subresource="status")


async def says(delivery: Delivery, status: str) -> None:
    """Wait for the condition Pushed."""

    async def look() -> bool:
        found = await delivery.hub.get(CLUSTER_REGISTRATIONS, "member")
        return any(one.type == "Pushed" and one.status == status for one in found.status.conditions)

    await until_found(look)


async def test_a_switch_of_who_delivers_makes_nothing_anew(pair_for_delivery: Bed) -> None:
    async with between(pair_for_delivery) as delivery, pushing(delivery, pair_for_delivery):
        await register(delivery, distribution="Pull", applies=True)
        async with delivery.delivering():
            manifests = (
                config_map("settings", namespace="default", a="1"),
                deployment("web", namespace="default"),
            )
            await delivery.work("app", *manifests)
            await delivery.says("app", "Applied", "Applied")
            before = await delivery.versions(CONFIG, WEB)
            await register(delivery, distribution="Push", applies=True)
        await register(delivery, distribution="Push", applies=False)
        await says(delivery, "True")
        await delivery.work("more", config_map("more", namespace="default"))
        await delivery.says("more", "Applied", "Applied")
        assert await delivery.versions(CONFIG, WEB) == before
        await register(delivery, distribution="Pull", applies=False)
        await says(delivery, "False")
        async with delivery.delivering():
            await delivery.remove("more")
            assert await delivery.versions(CONFIG, WEB) == before
            await delivery.remove("app")
        await delivery.goes(WEB)
        await delivery.hub.delete(CLUSTER_REGISTRATIONS, "member")
