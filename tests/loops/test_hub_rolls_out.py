"""What a Placement's objects become goes from cluster to cluster, as `spec.rollout` says."""

import asyncio
from typing import Any

import pytest

from mesh_fakes.placing_scene import PlacingScene, config_map, placing_scene
from mesh_fakes.waiting import until_found
from mesh_placement.objects import Placement
from mesh_placement.resources import ASSIGNMENTS, WORKS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

NAMES = ("east", "north", "west")
ONE_BY_ONE = {"maxConcurrent": 1, "soakSeconds": 30, "progressDeadlineSeconds": 120}


async def contents(scene: PlacingScene) -> dict[str, str]:
    """What each cluster is given: the value in its ConfigMap."""
    return {
        one.metadata.namespace.removeprefix("cluster-"): one.spec.workload.manifests[0]["data"]["a"]
        for one in await scene.works()
    }


async def placed(scene: PlacingScene, **spec: Any) -> None:  # Any: JSON
    """Three clusters that have the first content and are well with it."""
    for name in NAMES:
        await scene.cluster(name)
    await scene.place(rollout=ONE_BY_ONE, **spec)

    async def has_all() -> bool:
        return await contents(scene) == dict.fromkeys(NAMES, "1")

    await until_found(has_all)
    for name in NAMES:
        await scene.report(name)


async def with_the_new(scene: PlacingScene, number: int, *, value: str = "2") -> list[str]:
    """The clusters that have it, once they are so many."""

    async def are_there() -> bool:
        return list((await contents(scene)).values()).count(value) == number

    await until_found(are_there, limit=300.0)
    return [name for name, there in (await contents(scene)).items() if there == value]


async def condition(scene: PlacingScene, reason: str) -> str:
    """The message of Applied once it has that reason."""

    async def is_said() -> bool:
        return any(one.reason == reason for one in (await scene.placement()).status.conditions)

    await until_found(is_said, limit=300.0)
    found: Placement = await scene.placement()
    return next(one.message for one in found.status.conditions if one.reason == reason)


async def test_a_new_revision_reaches_one_cluster_after_the_other_also_under_another_leader() -> None:
    async with placing_scene() as scene:
        async with scene.placing():
            await placed(scene)
            await scene.place(rollout=ONE_BY_ONE, manifests=[config_map(a="2")])
            (first,) = await with_the_new(scene, 1)
            assert "2 of 3 clusters keep what they have" in await condition(scene, "RollingOut")
            await asyncio.sleep(60)
            assert await with_the_new(scene, 1) == [first]
            await scene.report(first)
            await asyncio.sleep(10)
        async with scene.placing():
            await asyncio.sleep(15)
            assert await with_the_new(scene, 1) == [first]
            both = await with_the_new(scene, 2)
            (second,) = set(both) - {first}
            await scene.report(second)
            await with_the_new(scene, 3)
            for name in NAMES:
                await scene.report(name)
            assert "revision 2 is in 3 clusters" in await condition(scene, "Applied")


async def test_a_revision_that_does_not_become_available_stops_and_the_one_after_it_begins_there() -> None:
    async with placing_scene() as scene, scene.placing():
        await placed(scene)
        await scene.place(rollout=ONE_BY_ONE, manifests=[config_map(a="bad")])
        (first,) = await with_the_new(scene, 1, value="bad")
        await scene.report(first, health="Degraded")
        message = await condition(scene, "RolloutStopped")
        assert f"{first}: not available in time (Degraded)" in message
        assert "2 of 3 clusters keep what they have" in message
        await asyncio.sleep(3600)
        assert await with_the_new(scene, 1, value="bad") == [first]
        await scene.place(rollout=ONE_BY_ONE, manifests=[config_map(a="2")])
        assert await with_the_new(scene, 1) == [first]
        for number in (2, 3):
            for name in await with_the_new(scene, number - 1):
                await scene.report(name)
            await with_the_new(scene, number)


async def test_replicas_and_new_clusters_do_not_wait_for_a_rollout() -> None:
    divided = {"policy": "Divide", "count": 3}
    async with placing_scene() as scene, scene.placing():
        await placed(scene, replicas=divided)
        await scene.place(
            rollout=ONE_BY_ONE, manifests=[config_map(a="2")], replicas={"policy": "Divide", "count": 8}
        )
        (first,) = await with_the_new(scene, 1)

        async def have_more() -> bool:
            given = await scene.assignments()
            return sorted(one.spec.replicas or 0 for one in given.values()) == [2, 3, 3]

        await until_found(have_more)
        given = {one.metadata.namespace: one.spec.revision for one in (await scene.assignments()).values()}
        assert sorted(given.values()) == [1, 1, 2], "older objects keep the revision that they came with"
        await scene.cluster("south")
        assert await with_the_new(scene, 2) == sorted((first, "south"))


async def test_who_lost_its_work_gets_the_newest_since_the_old_one_is_nowhere_kept() -> None:
    async with placing_scene() as scene, scene.placing():
        await placed(scene)
        await scene.place(rollout=ONE_BY_ONE, manifests=[config_map(a="2")])
        (first,) = await with_the_new(scene, 1)
        lost = next(name for name in NAMES if name != first)
        (work,) = [one for one in await scene.works() if one.metadata.namespace == f"cluster-{lost}"]
        await scene.admin.delete(WORKS, work.metadata.name, namespace=work.metadata.namespace)
        assert await with_the_new(scene, 2) == sorted((first, lost))


async def test_an_override_for_one_cluster_is_a_new_revision_there_alone() -> None:
    async with placing_scene() as scene, scene.placing():
        await placed(scene)
        patch = [{"op": "add", "path": "/data/b", "value": "2"}]
        await scene.place(
            rollout=ONE_BY_ONE,
            manifests=[config_map(a="1")],
            overrides=[{"clusters": ["east", "west"], "patch": patch}],
        )

        async def is_in_one() -> bool:
            page = await scene.admin.list(ASSIGNMENTS)
            return sorted(len(one.spec.overrides) for one in page.items) == [0, 0, 1]

        await until_found(is_in_one)
        given = {one.metadata.namespace: one for one in (await scene.assignments()).values()}
        assert given["cluster-north"].spec.revision == 2
        await asyncio.sleep(60)
        assert await is_in_one()
