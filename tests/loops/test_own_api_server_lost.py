"""An agent whose own API server is gone: it goes on telling the hub that it is there, and tells it that."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.hub_scene import TOKEN_SECRET, HubScene, hub_scene
from mesh_fakes.sessionless import SessionlessClient
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until_found
from mesh_placement.agent.agent import PARTS, run_agent
from mesh_placement.agent.api_pulse import ApiPulse
from mesh_placement.agent.leaving_part import leaving_part
from mesh_placement.agent.session import Session
from mesh_placement.decide.agent_settings import HubSettings
from mesh_placement.names import AGENT_SETTINGS, ANNOTATION_API_LOST, LEASE
from mesh_placement.objects import LeaseTimes
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import LEASES, NAMESPACES, SECRETS, ApiError, KubeClient, Unreachable

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

TOKEN = f"abcdef.{TOKEN_SECRET}"
PAGES: dict[str, dict[str, Any]] = {  # Any: JSON
    "/version": {"gitVersion": "v1.34.0"},
    "/api": {"versions": ["v1"]},
    "/apis": {"groups": [{"versions": [{"groupVersion": "apps/v1"}]}]},
}
PERIOD = 5
LONG = 900
NAMESPACE = "cluster-east"


@dataclass(slots=True)
class Door:
    """The way to the hub; how often it was opened with the agent's own credential."""

    hub: FakeApiServer
    opened: list[str] = field(default_factory=list)
    ends: asyncio.Event = field(default_factory=asyncio.Event)

    async def part(self, _session: Session) -> None:
        """Ends the session when `ends` is set, once."""
        await self.ends.wait()
        self.ends.clear()
        raise Unreachable(server="somewhere", why="a test says so")

    @asynccontextmanager
    async def with_token(
        self, settings: HubSettings, *, token: Callable[[], str]
    ) -> AsyncIterator[KubeClient]:
        if token() == TOKEN:
            yield self.hub.client("system:bootstrap:abcdef")
            return
        self.opened.append(settings.cluster)
        yield self.hub.client(f"agent of {settings.cluster}")

    def with_certificate(self, settings: HubSettings, *, certificate: str, key: bytes) -> Any:
        raise AssertionError("its credential is a token")


async def told_member() -> FakeApiServer:
    """A member that was told of the hub, as `meshctl register` tells it."""
    member = FakeApiServer(pages=PAGES)
    admin = member.client()
    await admin.create(NAMESPACES, {"metadata": {"name": "kube-system"}})
    said = {
        **{
            "server": "https://hub.example:6443",
            "ca.crt": "PEM",
            "cluster-id": "east",
            "cluster-set": "prod",
        },
        **{"driver": "token", "mode": "Manual", "token": TOKEN},
    }
    data = {name: base64.b64encode(value.encode()).decode() for name, value in said.items()}
    meta = {"name": AGENT_SETTINGS, "namespace": SYSTEM_NAMESPACE}
    await admin.create(SECRETS, {"metadata": meta, "data": data})
    return member


@asynccontextmanager
async def at_work() -> AsyncIterator[tuple[HubScene, FakeApiServer, Door]]:
    """A hub, and an agent that has joined and is heard every few seconds."""
    async with hub_scene() as scene, scene.hub():
        member, door = await told_member(), Door(scene.api)
        await scene.token(auto_accept=True)
        # All but what needs a socket.
        parts = [*(one for one in PARTS if one is not leaving_part), door.part]
        agent = run_agent(member.client("agent"), clock=scene.clock, door=door, parts=parts)
        async with under_way(agent):
            await until_phase(scene, "Ready")
            times = {"spec": {"lease": {"durationSeconds": PERIOD, "missed": 3}}}
            await scene.admin.merge_patch(CLUSTER_REGISTRATIONS, "east", times)
            await asyncio.sleep(2 * PERIOD)
            yield scene, member, door


async def until_phase(scene: HubScene, phase: str) -> None:
    async def is_so() -> bool:
        found = await scene.admin.find(CLUSTER_REGISTRATIONS, "east")
        return found is not None and found.status.phase == phase

    await until_found(is_so, limit=120.0)


async def told(scene: HubScene) -> str:
    lease = await scene.admin.get(LEASES, LEASE, namespace=NAMESPACE)
    return lease.metadata.annotations.get(ANNOTATION_API_LOST, "")


async def test_the_hub_is_told_on_the_lease_and_hears_the_agent_all_the_while() -> None:
    async with at_work() as (scene, member, _):
        assert await told(scene) == ""
        member.stop()
        await asyncio.sleep(2 * PERIOD)
        assert await told(scene) == "", "as long as the hub would bear silence"
        await asyncio.sleep(3 * PERIOD)
        since = await told(scene)
        assert since
        scene.api.requests.clear()
        await asyncio.sleep(LONG)
        assert await told(scene) == since, "since when, and no other time later"
        assert (await scene.registration()).status.phase == "Ready"
        asked = [path for user, _, path in scene.api.requests if user == "agent of east"]
        assert {path.rpartition("/")[2] for path in asked} == {LEASE}, "nothing more than renewals"
        assert len(asked) <= LONG / PERIOD + 1
        member.start()
        await asyncio.sleep(2 * PERIOD)
        assert await told(scene) == ""


async def test_a_session_that_ends_meanwhile_begins_again_as_the_same_cluster() -> None:
    async with at_work() as (scene, member, door):
        member.stop()
        await asyncio.sleep(6 * PERIOD)
        assert await told(scene)
        door.opened.clear()
        door.ends.set()
        await asyncio.sleep(6 * PERIOD)
        assert door.opened == ["east"]
        assert await told(scene)
        await until_phase(scene, "Ready")


class Answering(SessionlessClient):
    """Answers every request with the same status; 200 is no refusal, and 0 is silence."""

    status = 200

    async def request(self, method: str, path: str, **_: object) -> bytes:
        if self.status == 0:
            await asyncio.sleep(3600)
        if self.status != 200:
            raise ApiError(status=self.status, reason="Some", message="so it is")
        return b"ok"


@pytest.mark.parametrize(
    ("status", "is_lost"), [(200, False), (403, False), (404, False), (429, False), (500, True), (0, True)]
)
async def test_a_server_that_refuses_is_there_and_one_that_fails_or_hangs_is_not(
    status: int, is_lost: bool
) -> None:
    member = Answering("agent")
    pulse = ApiPulse(member, clock=utc_now)
    pulse.times = LeaseTimes(duration_seconds=PERIOD, missed=3)
    async with under_way(pulse.run()):
        await asyncio.sleep(60)
        assert pulse.lost_since == ""
        member.status = status
        await asyncio.sleep(60)
        assert bool(pulse.lost_since) == is_lost
        member.status = 200
        await asyncio.sleep(2 * PERIOD)
        assert pulse.lost_since == ""
