"""A hub that dies after any of its writes: the next one goes on, and ends where no death would have ended."""

import asyncio

import pytest

from mesh_fakes.fake_agent import FakeAgent, answers
from mesh_fakes.hub_scene import HUB_USER, HubScene, hub_scene
from mesh_placement.objects import Driver
from mesh_placement.resources import CLUSTER_REGISTRATIONS, ROLE_BINDINGS
from mesh_runtime.kube import CSRS, SECRETS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

# More than the hub makes from a claim to Ready.
WRITES = 40


async def ready_after_a_death(scene: HubScene, agent: FakeAgent, *, writes: int, object_first: bool) -> int:
    """How many writes were left when the first hub ended."""
    scene.api.writes_left[HUB_USER] = writes
    if object_first:
        await scene.register(accepted=True)
    holder = await scene.token(auto_accept=not object_first, cluster="east")
    async with scene.hub():
        await agent.claim(holder, now=scene.now)
        await asyncio.sleep(2)
    left = scene.api.writes_left.pop(HUB_USER)
    async with scene.hub():
        await asyncio.sleep(2)
        request = await scene.admin.get(CSRS, agent.claim_name)
        assert answers(request) == {"Approved": "ApprovedByMeshctl"}, f"dead after {writes}"
        await agent.beat(scene.admin, now=scene.now)
        await agent.report(scene.admin)
        await asyncio.sleep(2)
        found = await scene.admin.get(CLUSTER_REGISTRATIONS, agent.cluster)
        assert found.status.phase == "Ready", f"dead after {writes}"
        assert found.status.id.key_fingerprint == agent.fingerprint
        assert await scene.admin.find(SECRETS, "bootstrap-token-abcdef", namespace="kube-system") is None
        assert await scene.admin.find(ROLE_BINDINGS, "placement-join", namespace="cluster-east") is None
    return left


@pytest.mark.parametrize("driver", ["csr", "token"])
@pytest.mark.parametrize("object_first", [True, False], ids=["object first", "agent first"])
async def test_a_hub_may_die_between_any_two_writes(driver: Driver, object_first: bool) -> None:
    unused = 0
    for writes in range(WRITES):
        async with hub_scene() as scene:
            agent = FakeAgent("east", driver=driver)
            unused = await ready_after_a_death(scene, agent, writes=writes, object_first=object_first)
    assert unused > 0, "every write was the last one once"
