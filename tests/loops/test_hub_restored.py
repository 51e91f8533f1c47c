"""A Placement without its status, as a restored hub has it, goes on where members stand."""

import asyncio
from typing import Any

import pytest

from mesh_fakes.placing_scene import NAMESPACE, PlacingScene, config_map, placing_scene
from mesh_fakes.waiting import until_found
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import ANNOTATION_REVISION, PLACEMENT_FINALIZER
from mesh_placement.resources import CLUSTER_REGISTRATIONS, PLACEMENTS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

SITE = "site"
SPEC: dict[str, Any] = {  # Any: JSON
    "manifests": [config_map(a="1")],
    "clusters": {"count": 1},
    "require": {"properties": [{"name": SITE, "operator": "Exists"}]},
}


async def works_at(scene: PlacingScene) -> dict[str, tuple[str, str]]:
    """UID and revision of each cluster's Work."""
    return {
        one.metadata.namespace: (one.metadata.uid, one.metadata.annotations[ANNOTATION_REVISION])
        for one in await scene.works()
    }


async def test_a_restored_placement_stays_in_a_cluster_of_which_nothing_is_heard_yet() -> None:
    async with placing_scene() as scene:
        await scene.cluster("west", **{SITE: "here"})
        async with scene.placing(installed_scheduling()):
            await scene.place(**SPEC)
            await scene.decided(revision=1)

            async def is_given() -> bool:
                return set(await works_at(scene)) == {"cluster-west"}

            await until_found(is_given)
            await scene.report("west")
            await asyncio.sleep(10)
        before = await works_at(scene)
        # Nobody runs who would take anything back.
        free: dict[str, object] = {"metadata": {"finalizers": None}}
        await scene.admin.merge_patch(PLACEMENTS, "app", free, namespace=NAMESPACE)
        await scene.admin.delete(PLACEMENTS, "app", namespace=NAMESPACE)
        await scene.cluster("east", **{SITE: "there"})
        # Its agent has told the new hub nothing: no property, no version, no room.
        unheard = {"status": {"phase": "Joined", "agent": {"kubernetes": "", "apis": [], "properties": []}}}
        await scene.admin.merge_patch(CLUSTER_REGISTRATIONS, "west", unheard, subresource="status")
        async with scene.placing(installed_scheduling()):
            await scene.place(**SPEC)
            found = await scene.decided(revision=2)
            await asyncio.sleep(600)
            after = await works_at(scene)
        assert PLACEMENT_FINALIZER in found.metadata.finalizers
        assert [one.cluster for one in found.status.clusters] == ["west"]
        assert {space: uid for space, (uid, _) in after.items()} == {
            space: uid for space, (uid, _) in before.items()
        }
        assert after["cluster-west"][1] == "2", "revisions never go back"
