"""The scheduler that a hub runs, in the loop: a move is made before the old copy is broken."""

import asyncio
from typing import Any

import pytest

from mesh_fakes.placing_scene import NAMESPACE, PlacingScene, config_map, placing_scene
from mesh_fakes.waiting import until_found
from mesh_placement.hub.placing.scheduling import installed_scheduling

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

# JSON, hence Any.
Json = dict[str, Any]


def spec(region: str, *, image: str = "one") -> Json:
    container = {"name": "app", "image": image, "resources": {"requests": {"cpu": "500m"}}}
    web = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    return {
        "manifests": [space, config_map(a="1"), web],
        "require": {"properties": [{"name": "region", "operator": "In", "values": [region]}]},
        "replicas": {"policy": "Divide", "count": 4},
    }


async def shares(scene: PlacingScene) -> dict[str, int | None]:
    return {one.cluster: one.replicas for one in (await scene.placement()).status.clusters}


async def until_placed(scene: PlacingScene, **wanted: int) -> None:
    async def is_so() -> bool:
        return await shares(scene) == wanted and len(await scene.works()) == len(wanted)

    await until_found(is_so, limit=120.0)


async def image_in(scene: PlacingScene, cluster: str) -> str:
    (work,) = [one for one in await scene.works() if one.metadata.namespace == f"cluster-{cluster}"]
    image: str = work.spec.workload.manifests[2]["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


async def test_the_old_copy_stays_whole_until_its_replacement_is_ready() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east", region="eu")
        await scene.cluster("west", region="us")
        async with scene.placing(installed_scheduling()):
            await scene.place(**spec("eu"))
            await until_placed(scene, east=4)
            await scene.report("east", ready=4)
            await scene.place(**spec("us"))
            await until_placed(scene, east=4, west=4)
            await asyncio.sleep(600)
            assert await shares(scene) == {"east": 4, "west": 4}
            await scene.report("east", ready=4)
            await scene.report("west", ready=4)
            await until_placed(scene, west=4)
        found = (await scene.placement()).status
        assert [(one.source, one.target) for one in found.history] == [
            ("", "east"),
            ("", "west"),
            ("east", ""),
        ]
        assert found.decided_generation == 2


async def test_a_spec_that_is_corrected_while_its_move_waits_comes_to_both_copies() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east", region="eu")
        await scene.cluster("west", region="us")
        async with scene.placing(installed_scheduling()):
            await scene.place(**spec("eu"))
            await until_placed(scene, east=4)
            await scene.place(**spec("us", image="broken"))
            await until_placed(scene, east=4, west=4)
            await scene.place(**spec("us", image="mended"))

            async def is_mended() -> bool:
                return {await image_in(scene, one) for one in ("east", "west")} == {"mended"}

            await until_found(is_mended)
            await scene.report("west", ready=4)
            await until_placed(scene, west=4)


async def test_what_was_chosen_by_a_spec_stays_when_a_property_changes_under_it() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east", region="eu")
        await scene.cluster("west", region="us")
        async with scene.placing(installed_scheduling()):
            await scene.place(**spec("eu"))
            await until_placed(scene, east=4)
            await scene.report("east", ready=4)
            await scene.cluster("east", region="moon")
            await asyncio.sleep(600)
            assert await shares(scene) == {"east": 4}
        assert (await scene.placement()).status.revision == 1
