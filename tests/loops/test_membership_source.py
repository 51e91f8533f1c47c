"""Who we are, followed through the API; and the small things that waiting is made of."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from mesh_core.trust import OPEN
from mesh_fakes.controller_trust import trust_scene
from mesh_fakes.waiting import until
from mesh_runtime.kube import CLUSTER_PROPERTIES, TRUST_BUNDLES
from mesh_runtime.latest import Latest, first_of

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

HOUR = timedelta(hours=1)


async def test_both_objects_make_a_membership() -> None:
    async with trust_scene(ago=HOUR, leads=False) as scene:
        assert scene.membership.current is None
        await scene.join()
        found = await scene.membership.after(None)
        assert found is not None
        assert replace(found, trust=OPEN) == scene.clusterset.membership("west")
        assert replace(found.trust, roots=frozenset()) == OPEN
        assert len(found.trust.roots) == 1


async def test_what_is_missing_is_named() -> None:
    async with trust_scene(ago=HOUR, leads=False) as scene:
        assert "not asked yet" in scene.membership.why_not
        await until(lambda: "no ClusterProperty" in scene.membership.why_not)
        name = {"metadata": {"name": "cluster.clusterset.k8s.io"}, "spec": {"value": "west"}}
        await scene.api.client().apply(CLUSTER_PROPERTIES, name, field_manager="test")
        await until(lambda: "no TrustBundle" in scene.membership.why_not)


async def test_an_api_server_that_is_away_ends_no_membership() -> None:
    async with trust_scene(ago=HOUR, leads=False) as scene:
        await scene.join()
        membership = await scene.membership.after(None)
        scene.api.stop()
        await asyncio.sleep(3600)
        assert scene.membership.current == membership


async def test_a_deleted_bundle_ends_it() -> None:
    async with trust_scene(ago=HOUR, leads=False) as scene:
        await scene.join()
        membership = await scene.membership.after(None)
        await scene.api.client().delete(TRUST_BUNDLES, "clusterset")
        assert await scene.membership.after(membership) is None


async def test_a_reader_of_the_latest_misses_no_change_while_it_is_busy() -> None:
    latest: Latest[int] = Latest()
    latest.publish(1)
    seen = await latest.after(None)
    latest.publish(2)
    latest.publish(3)
    assert await latest.after(seen) == 3


async def test_publishing_the_same_again_wakes_nobody() -> None:
    latest: Latest[int] = Latest()
    latest.publish(1)
    waiting = asyncio.create_task(latest.after(1))
    await asyncio.sleep(1)
    latest.publish(1)
    await asyncio.sleep(1)
    assert not waiting.done()
    latest.publish(None)
    assert await waiting is None


async def test_the_first_of_several_waits_ends_them_all() -> None:
    latest: Latest[int] = Latest()
    began = asyncio.get_running_loop().time()
    await first_of(latest.after(None), asyncio.sleep(5), limit=60)
    await first_of(latest.after(None), limit=7)
    assert asyncio.get_running_loop().time() - began == pytest.approx(12, abs=0.5)


async def test_what_a_wait_raises_passes_through() -> None:
    async def broken() -> None:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        await first_of(broken(), asyncio.sleep(5))
