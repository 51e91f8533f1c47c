"""The hub delivers by itself while it leads, and when it leads again; what fails is begun again."""

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from mesh_core.conditions import truth
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.under_way import under_way
from mesh_placement.hub.push_loop import PushLoop
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import Informer, KubeClient, Unreachable

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


@pytest.mark.parametrize(
    "failure",
    [Unreachable(server="east", why="there is no way"), ValueError("what no member should say")],
    ids=["no way", "a defect"],
)
async def test_a_hub_that_leads_again_delivers_again_and_what_fails_is_tried_again(
    failure: Exception,
) -> None:
    api = FakeApiServer()
    kube = api.client("hub")
    spec = {"clusterSet": "prod", "accepted": True, "distribution": "Push"}
    status = {"phase": "Ready", "namespace": "cluster-east", "agent": {"applies": False}}
    body = {"metadata": {"name": "east"}, "spec": spec, "status": status}
    await api.client().create(CLUSTER_REGISTRATIONS, body)
    tried: list[str] = []

    def way(cluster: str) -> AbstractAsyncContextManager[KubeClient]:
        tried.append(cluster)
        raise failure

    registrations = Informer(kube, CLUSTER_REGISTRATIONS)
    loop = PushLoop(kube, registrations=registrations, way=way, clock=utc_now)
    async with under_way(registrations.run()):
        for term in (1, 2):
            async with under_way(loop.run()):
                await asyncio.sleep(20)
            assert len(tried) >= 3 * term
            await asyncio.sleep(120)
    found = await kube.get(CLUSTER_REGISTRATIONS, "east")
    assert [(one.type, one.status) for one in found.status.conditions] == [("Pushed", truth(True))]
