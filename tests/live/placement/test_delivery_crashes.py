"""Killed between any two writes, delivery loses nothing and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress

import pytest
import pytest_asyncio

from mesh_fakes.bed import Bed
from mesh_fakes.delivery import Delivery, between, config_map, deployment
from mesh_fakes.mortal_client import Life
from mesh_placement.decide.inventory import inventory_of
from mesh_placement.resources import APPLIED_WORKS, WORKS

pytestmark = pytest.mark.asyncio

HERE = "/api/v1/namespaces/default/configmaps"
ALL = {f"{HERE}/first", f"{HERE}/second", "/apis/apps/v1/namespaces/default/deployments/web"}
FIRST = config_map("first", namespace="default", a="1")
SECOND = config_map("second", namespace="default", a="1")
WEB = deployment("web", config="first", namespace="default")

Until = Callable[[], Coroutine[None, None, None]]


@pytest_asyncio.fixture
async def delivery(pair_for_delivery: Bed) -> AsyncIterator[Delivery]:
    async with between(pair_for_delivery) as scene:
        yield scene


async def lived(delivery: Delivery, life: Life, *, until: Until) -> bool:
    """Deliver until it is done, or dead; whether it was done."""
    engine = asyncio.create_task(delivery.deliverer(life=life).run())
    done = asyncio.create_task(until())
    await asyncio.wait((engine, done), return_when=asyncio.FIRST_COMPLETED, timeout=120)
    was_done = done.done() and not engine.done()
    for task in (engine, done):
        task.cancel()
    await asyncio.wait((engine, done))
    if not engine.cancelled() and engine.exception() is not None:
        with suppress(BaseExceptionGroup):
            await engine
        assert life.is_over
    return was_done


async def nothing_unknown(delivery: Delivery) -> None:
    """Whatever is in the member stands in the inventory."""
    applied = await delivery.member.find(APPLIED_WORKS, "app")
    known = {(ref.resource, ref.name) for ref in inventory_of(applied)}
    there = {tuple(path.split("/")[-2:]) for path in ALL if await delivery.read(path) is not None}
    assert there <= known


async def test_no_crash_while_applying_changing_or_removing_loses_or_leaves_an_object(
    delivery: Delivery,
) -> None:
    for writes in range(1, 40):
        if await story(delivery, Life(writes=writes)):
            assert writes > 12, "the story has fewer writes than it should have"
            return
    raise AssertionError("no life was long enough")


async def story(delivery: Delivery, life: Life) -> bool:
    """Apply, change and remove a Work under that life, going on with another after its end."""

    async def applied() -> None:
        await delivery.says("app", "Applied", "Applied")

    async def pruned() -> None:
        await delivery.says("app", "Applied", "Applied")
        await delivery.goes(f"{HERE}/second")

    async def removed() -> None:
        await delivery.gone("app")

    await delivery.work("app", FIRST, SECOND, WEB)
    whole = await through(delivery, life, until=applied)
    assert {path for path in ALL if await delivery.read(path) is not None} == ALL
    uid = (await delivery.comes(f"{HERE}/first"))["metadata"]["uid"]
    await delivery.work("app", FIRST, WEB)
    whole = await through(delivery, life, until=pruned) and whole
    assert (await delivery.comes(f"{HERE}/first"))["metadata"]["uid"] == uid
    await delivery.hub.delete(WORKS, "app", namespace=delivery.namespace)
    whole = await through(delivery, life, until=removed) and whole
    assert [path for path in ALL if await delivery.read(path) is not None] == []
    assert await delivery.member.find(APPLIED_WORKS, "app") is None
    return whole


async def through(delivery: Delivery, life: Life, *, until: Until) -> bool:
    """Deliver under that life while it lasts, and then under a new one."""
    if not life.is_over and await lived(delivery, life, until=until):
        return True
    await nothing_unknown(delivery)
    assert await lived(delivery, Life(), until=until)
    return False
