"""One Placement more than a namespace may have is told so, and has its turn when another one is gone."""

import pytest

from mesh_fakes.placing_scene import NAMESPACE, placing_scene
from mesh_fakes.waiting import until_found
from mesh_placement.decide.placement_bounds import IN_A_NAMESPACE
from mesh_placement.resources import PLACEMENTS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


async def test_one_more_than_may_be_waits_until_another_one_is_gone() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        # They are refused for what they bring, so none of them is given to anybody; but they are there.
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
        for number in range(IN_A_NAMESPACE):
            await scene.place(f"p{number:04}", manifests=[secret])
        await scene.place("z-newest")
        async with scene.placing():

            async def is_told() -> bool:
                conditions = (await scene.placement("z-newest")).status.conditions
                return any(one.reason == "TooManyPlacements" for one in conditions)

            await until_found(is_told, limit=90)
            assert await scene.assignments("z-newest") == {}
            await scene.admin.delete(PLACEMENTS, "p0000", namespace=NAMESPACE)
            found = await scene.decided("z-newest", revision=1)
        assert [one.reason for one in found.status.conditions if one.type == "Scheduled"] == ["Scheduled"]
