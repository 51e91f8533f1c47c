"""What its agent has stopped is left alone by whoever delivers, until it is let go; taken back it may be."""

import asyncio

import pytest

from mesh_fakes.delivered_api import DeliveredApi
from mesh_fakes.delivery import PLENTY, config_map
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until_found
from mesh_placement.deliver import Deliverer
from mesh_placement.names import ANNOTATION_FENCED, LABEL_ASSIGNMENT
from mesh_placement.resources import APPLIED_WORKS, ASSIGNMENTS, WORKS
from mesh_runtime.kube import NAMESPACES

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

SPACE, NAME = "cluster-east", "shop"
FIRST, SECOND = (f"/api/v1/configmaps/shop/{name}" for name in ("a", "b"))


async def brings(hub: DeliveredApi, *names: str) -> None:
    meta = {"name": NAME, "namespace": SPACE, "labels": {LABEL_ASSIGNMENT: NAME}}
    spec = {"workload": {"manifests": [config_map(name) for name in names]}}
    await hub.client("decider").apply(WORKS, {"metadata": meta, "spec": spec}, field_manager="decider")


async def is_fenced(member: DeliveredApi, *, since: str | None) -> None:
    note = {"metadata": {"annotations": {ANNOTATION_FENCED: since}}}
    await member.client("agent").merge_patch(APPLIED_WORKS, NAME, note)


async def until_there(member: DeliveredApi, *paths: str) -> None:
    async def is_so() -> bool:
        return {path for path in member.paths() if path in (FIRST, SECOND)} == set(paths)

    await until_found(is_so, limit=120.0)


async def test_nothing_is_applied_while_it_is_fenced_and_all_of_it_afterwards() -> None:
    hub, member = DeliveredApi(), DeliveredApi()
    await member.client().create(NAMESPACES, {"metadata": {"name": "shop"}, "status": {"phase": "Active"}})
    engine = Deliverer(
        hub.client("engine"), member.client("engine"), namespace=SPACE, cluster="east", budgets=PLENTY
    )
    meta = {"name": NAME, "namespace": SPACE}
    spec = {"works": [NAME], "takeOver": "Always"}
    await hub.client("decider").apply(ASSIGNMENTS, {"metadata": meta, "spec": spec}, field_manager="decider")
    await brings(hub, "a")
    async with under_way(engine.run()):
        await until_there(member, FIRST)
        await is_fenced(member, since="2026-01-01T00:00:00Z")
        await brings(hub, "a", "b")
        await asyncio.sleep(120)
        await until_there(member, FIRST)
        status = (await hub.client().get(ASSIGNMENTS, NAME, namespace=SPACE)).status
        assert status.waiting_for == "Fence"
        await is_fenced(member, since=None)
        await until_there(member, FIRST, SECOND)
        await is_fenced(member, since="2026-01-01T00:00:00Z")
        await hub.client("decider").delete(WORKS, NAME, namespace=SPACE)
        await until_there(member)
