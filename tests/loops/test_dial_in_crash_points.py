"""A hub that is killed at any write while it dials in to a member: the next one ends as it would have."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from loops.test_hub_dials_in import JOIN, kubeconfig, prepared
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.ended_process import End, EndingClient
from mesh_fakes.hub_scene import HUB_USER, HubScene, hub_scene
from mesh_placement.decide.kubeconfig import Dial
from mesh_placement.names import AGENT, AGENT_SETTINGS
from mesh_placement.resources import SERVICE_ACCOUNTS
from mesh_runtime.kube import SECRETS, KubeClient

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

PAGES = {
    "/api/v1": {"resources": [{"name": "serviceaccounts", "kind": "ServiceAccount", "namespaced": True}]}
}


async def lives(scene: HubScene, member: FakeApiServer, end: End) -> None:
    """A hub until it is killed, or for long enough to be done."""

    @asynccontextmanager
    async def connect(_dial: Dial) -> AsyncIterator[KubeClient]:
        yield EndingClient(member.client("placement-hub"), end=end)

    async with scene.hub(connect=connect, kube=EndingClient(scene.api.client(HUB_USER), end=end)):
        with suppress(TimeoutError):
            async with asyncio.timeout(60):
                await end.over.wait()


async def story(end: End) -> None:
    """A member is dialled in to by a hub that ends so, and by another one after it."""
    async with hub_scene() as scene:
        member = FakeApiServer(pages=PAGES)
        await prepared(scene, text=kubeconfig())
        await lives(scene, member, end)
        if end.over.is_set():
            await lives(scene, member, End())
        assert await scene.admin.find(SECRETS, JOIN, namespace=SYSTEM_NAMESPACE) is None
        admin = member.client()
        assert await admin.find(SERVICE_ACCOUNTS, AGENT, namespace="default") is not None
        told = await admin.get(SECRETS, AGENT_SETTINGS, namespace=SYSTEM_NAMESPACE)
        shown = base64.b64decode(told.data["token"]).decode().partition(".")[0]
        tokens = (await scene.admin.list(SECRETS, namespace="kube-system")).items
        assert f"bootstrap-token-{shown}" in {one.metadata.name for one in tokens}
        # Of one that was made just before the end nobody knows the secret, and it lasts an hour.
        assert len(tokens) <= 2
        found = await scene.registration()
        assert found.status.phase == "Accepted"
        assert [one.reason for one in found.status.conditions if one.type == "Joined"] == ["WaitingForClaim"]


async def test_a_hub_may_die_between_any_two_writes_while_it_dials_in() -> None:
    whole = End()
    await story(whole)
    paths = [path for _, path in whole.written]
    assert any(path.endswith(f"/{JOIN}") for path in paths) and len(paths) > 12
    for at in range(len(paths)):
        end = End(at=at)
        try:
            await story(end)
        except AssertionError as error:
            raise AssertionError(f"killed at {whole.written[at]}") from error
        assert end.over.is_set()
