"""Auto, where something is wrong: the registration shows it, and the kubeconfig stays until it was used."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import yaml

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.hub_scene import HubScene, hub_scene
from mesh_placement.decide.kubeconfig import Dial
from mesh_placement.names import AGENT_MANIFESTS, AGENT_SETTINGS, LABEL_CLUSTER
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.kube import CONFIG_MAPS, SECRETS, KubeClient, Unreachable
from mesh_runtime.kube.client import Body

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

JOIN = "placement-join-east"
MANIFEST = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: placement-agent}}"
USER = {"token": "t"}


class Member:
    """A member's API server, which may be away."""

    def __init__(self) -> None:
        self.api = FakeApiServer()
        self.applied: list[str] = []
        self.is_away = False
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        """What happens on the hub while the agent is being set up."""

    def connect(self, dial: Dial) -> AbstractAsyncContextManager[KubeClient]:
        assert dial.server == "https://east.example:6443" and dial.token == "t"
        return self._connected()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[KubeClient]:
        if self.is_away:
            raise Unreachable(server="east", why="it is away")
        client = self.api.client("placement-hub")

        async def apply_manifest(manifest: Body, *, field_manager: str) -> None:
            # What needs discovery, which the fake has not.
            self.applied.append(f"{manifest['kind']} by {field_manager}")
            if self.meanwhile is not None:
                await self.meanwhile()

        client.apply_manifest = apply_manifest  # type: ignore[method-assign]  # a fake's own
        yield client


def kubeconfig(user: object = USER) -> str:
    ca = base64.b64encode(b"ca").decode()
    cluster = {"server": "https://east.example:6443", "certificate-authority-data": ca}
    return yaml.safe_dump(
        {
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        }
    )


async def prepared(scene: HubScene, *, text: str, manifests: bool = True, accepted: bool = True) -> None:
    if manifests:
        meta = {"name": AGENT_MANIFESTS, "namespace": SYSTEM_NAMESPACE}
        await scene.admin.create(CONFIG_MAPS, {"metadata": meta, "data": {"agent.yaml": MANIFEST}})
    labelled = {"name": JOIN, "namespace": SYSTEM_NAMESPACE, "labels": {LABEL_CLUSTER: "east"}}
    data = {"kubeconfig": base64.b64encode(text.encode()).decode()}
    await scene.admin.create(SECRETS, {"metadata": labelled, "data": data})
    await scene.register(accepted=accepted, mode="Auto")


async def joined_condition(scene: HubScene) -> tuple[str, str]:
    found = await scene.registration()
    return next((one.reason, one.message) for one in found.status.conditions if one.type == "Joined")


async def secret(scene: HubScene) -> object:
    return await scene.admin.find(SECRETS, JOIN, namespace=SYSTEM_NAMESPACE)


async def test_a_member_that_is_away_is_tried_again_and_one_token_is_made_when_it_is_there() -> None:
    member = Member()
    member.is_away = True
    async with hub_scene() as scene, scene.hub(connect=member.connect):
        await prepared(scene, text=kubeconfig())
        await asyncio.sleep(120)
        reason, message = await joined_condition(scene)
        assert reason == "DialInFailed" and "does not answer" in message
        assert await secret(scene) is not None
        member.is_away = False
        await asyncio.sleep(60)
        assert await secret(scene) is None
        assert (await joined_condition(scene))[0] == "WaitingForClaim"
        tokens = (await scene.admin.list(SECRETS, namespace="kube-system")).items
        assert len(tokens) == 1
        assert member.applied == ["ServiceAccount by meshctl"]
        there = await member.api.client().get(SECRETS, AGENT_SETTINGS, namespace=SYSTEM_NAMESPACE)
        assert base64.b64decode(there.data["access"]) == b"false"


async def test_a_kubeconfig_is_used_once_also_where_the_registration_changes_meanwhile() -> None:
    member = Member()
    async with hub_scene() as scene, scene.hub(connect=member.connect):
        change = {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}
        member.meanwhile = lambda: scene.admin.merge_patch(CLUSTER_REGISTRATIONS, "east", change)
        await prepared(scene, text=kubeconfig())
        await asyncio.sleep(60)
        assert await secret(scene) is None
        assert len(member.applied) == 1
        assert len((await scene.admin.list(SECRETS, namespace="kube-system")).items) == 1


async def settings_of_another_hub(member: Member) -> None:
    said = {"server": "https://other:6443", "cluster-id": "old"}
    data = {name: base64.b64encode(value.encode()).decode() for name, value in said.items()}
    meta = {"name": AGENT_SETTINGS, "namespace": SYSTEM_NAMESPACE}
    await member.api.client().create(SECRETS, {"metadata": meta, "data": data})


@pytest.mark.parametrize(
    ("text", "manifests", "elsewhere", "said"),
    [
        (kubeconfig({"exec": {"command": "aws"}}), True, False, "RunsAProgram"),
        (kubeconfig(), False, False, "meshctl hub init"),
        (kubeconfig(), True, True, "is registered as old at https://other:6443"),
    ],
    ids=["a kubeconfig that runs a program", "a hub without manifests", "a member of another hub"],
)
async def test_what_a_person_has_to_mend_is_said_once_and_nothing_is_done(
    text: str, manifests: bool, elsewhere: bool, said: str
) -> None:
    member = Member()
    if elsewhere:
        await settings_of_another_hub(member)
    async with hub_scene() as scene, scene.hub(connect=member.connect):
        await prepared(scene, text=text, manifests=manifests)
        await asyncio.sleep(60)
        reason, message = await joined_condition(scene)
        assert reason == "DialInFailed" and said in message
        assert await secret(scene) is not None
        assert member.applied == []
        assert (await scene.admin.list(SECRETS, namespace="kube-system")).items == []


async def test_a_kubeconfig_waits_until_its_registration_is_accepted() -> None:
    member = Member()
    async with hub_scene() as scene, scene.hub(connect=member.connect):
        await prepared(scene, text=kubeconfig(), accepted=False)
        await asyncio.sleep(60)
        assert await secret(scene) is not None and member.applied == []
        await scene.accept()
        await asyncio.sleep(1)
        assert await secret(scene) is None and member.applied != []
