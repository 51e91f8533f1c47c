"""A person's wish to fail back, in the hub's loop: heard at once, carried out make before break, and said."""

import asyncio
from typing import Any

import pytest

from mesh_core.conditions import rfc3339
from mesh_fakes.placing_scene import NAMESPACE, PlacingScene, placing_scene
from mesh_fakes.waiting import until_found
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import ANNOTATION_FAILBACK
from mesh_placement.resources import CLUSTER_REGISTRATIONS, PLACEMENTS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

STABLE_FOR = 300
SPEC: dict[str, Any] = {  # Any: JSON
    "clusters": {"count": 1, "names": ["east", "west"]},
    "failover": {"failback": {"mode": "Manual", "stabilizeSeconds": STABLE_FOR}},
}


async def is_ready(scene: PlacingScene, cluster: str) -> None:
    """From now on."""
    now = rfc3339(scene.clock())
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "GatesTrue",
        "message": "",
        "lastTransitionTime": now,
    }
    await scene.admin.merge_patch(
        CLUSTER_REGISTRATIONS, cluster, {"status": {"conditions": [ready]}}, subresource="status"
    )


async def where(scene: PlacingScene) -> list[str]:
    return [one.cluster for one in (await scene.placement()).status.clusters]


async def test_it_waits_until_the_cluster_is_stable_goes_there_once_and_says_by_whose_wish() -> None:
    async with placing_scene() as scene:
        for name in ("east", "west"):
            await scene.cluster(name)
        async with scene.placing(installed_scheduling()):
            await scene.place(**SPEC)
            await scene.decided(revision=1)
            (here,) = await where(scene)
            await scene.report(here, ready=1)
            (there,) = {"east", "west"} - {here}
            await is_ready(scene, there)
            wish = {"metadata": {"annotations": {ANNOTATION_FAILBACK: f"{rfc3339(scene.clock())} {there}"}}}
            await scene.admin.merge_patch(PLACEMENTS, "app", wish, namespace=NAMESPACE)
            await asyncio.sleep(STABLE_FOR - 30)
            assert await where(scene) == [here]

            async def is_there() -> bool:
                return await where(scene) == [there]

            await until_found(is_there, limit=300.0)
            moves = (await scene.placement()).status.history
            assert f"failed back by hand to {there}" in [one.cause for one in moves]
            revision = (await scene.placement()).status.revision
            await asyncio.sleep(3600)
            assert (await where(scene), (await scene.placement()).status.revision) == ([there], revision)
