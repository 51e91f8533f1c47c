"""An agent that nobody sees any more stops what may be begun elsewhere, until the hub says it may go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from mesh_fakes.agent_session import agent_session
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until_found
from mesh_placement.agent.api_pulse import ApiPulse
from mesh_placement.agent.fencing import FENCED, FencingLoop
from mesh_placement.agent.vital_signs import VitalSigns
from mesh_placement.decide.fencing import FIRST_LOOK
from mesh_placement.names import ANNOTATION_ACCOUNT, ANNOTATION_FENCE_AFTER, ANNOTATION_FENCED, FENCE_MANAGER
from mesh_placement.objects import AppliedWork
from mesh_placement.resources import APPLIED_WORKS, ASSIGNMENTS, WORKS
from mesh_runtime.kube import CRDS, MESH_PEERS, KubeClient, Resource

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

SPACE = "cluster-east"
AFTER = 60
WEB = "/apis/apps/v1/namespaces/shop/deployments/web"
NAME = "shop.app"
Json = dict[str, Any]  # Any: JSON


@dataclass(slots=True)
class Scene:
    """A member with a Deployment that a Work of the hub brought."""

    hub: FakeApiServer = field(default_factory=FakeApiServer)
    member: FakeApiServer = field(default_factory=lambda: FakeApiServer(unsaying=frozenset({FENCE_MANAGER})))

    @property
    def there(self) -> KubeClient:
        return self.member.client()

    async def peer(self, name: str, *, up: bool) -> None:
        """What our one gateway finds of it."""
        report = {"address": "10.0.0.1", "reachable": up, "since": "2026-01-01T00:00:00Z"}
        body = {"metadata": {"name": name}, "spec": {}, "status": {"gateways": [report]}}
        await self.there.apply(MESH_PEERS, body, field_manager="test")

    async def applied(self) -> AppliedWork:
        return await self.there.get(APPLIED_WORKS, NAME)

    def replicas(self) -> int | None:
        found = self.member.peek(WEB)
        assert found is not None
        count = found["spec"].get("replicas")
        assert count is None or isinstance(count, int)
        return count

    async def until_stopped(self) -> None:
        async def is_so() -> bool:
            return self.replicas() == 0

        await until_found(is_so, limit=600.0)

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[VitalSigns]:
        """An agent's fences while the block runs; who wants to be heard says so of the vital signs."""
        hub, member = self.hub.client("agent"), self.member.client("agent")
        pulse = ApiPulse(member, clock=new_year)
        session = agent_session(hub, member, namespace=SPACE, clock=new_year, pulse=pulse)
        async with under_way(session.kinds.run(), pulse.run(), FencingLoop(session).run()):
            yield session.vitals


def new_year() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


async def is_heard(vitals: VitalSigns, *, seconds: float) -> None:
    """The Lease is renewed every five seconds, for so long."""
    for _ in range(int(seconds / 5)):
        vitals.renewed(asyncio.get_running_loop().time())
        await asyncio.sleep(5)


async def scene(*, peers: bool = True) -> Scene:
    found = Scene()
    for resource in (APPLIED_WORKS, MESH_PEERS):
        await found.there.create(CRDS, definition(resource))
    made = {"metadata": {"name": "web", "namespace": "shop"}, "apiVersion": "apps/v1", "kind": "Deployment"}
    await found.there.request(
        "POST", "/apis/apps/v1/namespaces/shop/deployments", body={**made, "spec": {"replicas": 3}}
    )
    entry = {"ordinal": 0, "group": "apps", "version": "v1", "resource": "deployments", "kind": "Deployment"}
    inventory = [
        {**entry, "namespace": "shop", "name": "web"},
        {
            "ordinal": 1,
            "version": "v1",
            "resource": "configmaps",
            "kind": "ConfigMap",
            "name": "a",
            "namespace": "shop",
        },
    ]
    body = {
        "metadata": {"name": NAME},
        "spec": {"workName": NAME, "workNamespace": SPACE},
        "status": {"appliedResources": inventory},
    }
    await found.there.apply(APPLIED_WORKS, body, field_manager="test")
    meta = {"name": NAME, "namespace": SPACE}
    hub = found.hub.client()
    await hub.create(ASSIGNMENTS, {"metadata": meta, "spec": {"works": [NAME], "fenceAfterSeconds": AFTER}})
    await hub.create(WORKS, {"metadata": meta, "spec": {}})
    for name in ("south", "west") if peers else ():
        await found.peer(name, up=True)
    return found


def definition(resource: Resource[Any]) -> Json:  # Any: of whatever type
    name = f"{resource.plural}.{resource.group}"
    return {
        "metadata": {"name": name},
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
    }


async def noted(there: Scene) -> None:
    async def is_so() -> bool:
        return (await there.applied()).metadata.annotations.get(ANNOTATION_FENCE_AFTER) == str(AFTER)

    await until_found(is_so)


async def test_a_lost_hub_alone_stops_nothing() -> None:
    there = await scene()
    async with there.agent() as vitals:
        await is_heard(vitals, seconds=20)
        await noted(there)
        there.hub.stop()
        await asyncio.sleep(7200)
        assert there.replicas() == 3
        await there.peer("south", up=False)
        await asyncio.sleep(7200)
        assert there.replicas() == 3, "one of two is enough"


async def test_without_the_hub_and_its_peers_it_stops_when_the_time_is_over_and_not_before() -> None:
    there = await scene()
    async with there.agent() as vitals:
        await is_heard(vitals, seconds=20)
        await noted(there)
        there.hub.stop()
        await asyncio.sleep(3600)
        for name in ("south", "west"):
            await there.peer(name, up=False)
        await asyncio.sleep(AFTER - 2)
        assert there.replicas() == 3
        await asyncio.sleep(4)
        assert there.replicas() == 0
        found = there.member.peek(WEB)
        assert found is not None and found["metadata"]["annotations"][ANNOTATION_FENCED]
        assert (await there.applied()).metadata.annotations[ANNOTATION_FENCED]
        # Peers alone do not begin it again: the hub may have begun it elsewhere.
        for name in ("south", "west"):
            await there.peer(name, up=True)
        await asyncio.sleep(3600)
        assert there.replicas() == 0


async def test_the_lease_alone_holds_the_fence_off() -> None:
    there = await scene()
    for name in ("south", "west"):
        await there.peer(name, up=False)
    async with there.agent() as vitals:
        await is_heard(vitals, seconds=600)
        assert there.replicas() == 3


async def test_without_peers_nobody_could_call_it_dead_and_nothing_is_stopped() -> None:
    there = await scene(peers=False)
    async with there.agent() as vitals:
        await is_heard(vitals, seconds=20)
        await noted(there)
        there.hub.stop()
        await asyncio.sleep(7200)
        assert there.replicas() == 3


async def cut_off(there: Scene, vitals: VitalSigns) -> None:
    await is_heard(vitals, seconds=20)
    await noted(there)
    there.hub.stop()
    for name in ("south", "west"):
        await there.peer(name, up=False)
    await there.until_stopped()


async def test_a_tenant_whose_account_may_stop_nothing_any_more_keeps_nobody_elses_fence_up() -> None:
    there = await scene()
    entry = {"ordinal": 0, "group": "shop.org", "version": "v1", "resource": "ovens", "kind": "Oven"}
    account = "system:serviceaccount:bakery:deployer"
    for name in ("bakery.app", "zoo.app"):  # before and behind the one that is looked at
        meta = {
            "name": name,
            "annotations": {ANNOTATION_ACCOUNT: account, ANNOTATION_FENCE_AFTER: str(AFTER)},
        }
        body = {
            "metadata": meta,
            "spec": {"workName": name, "workNamespace": SPACE},
            "status": {"appliedResources": [{**entry, "namespace": "bakery", "name": "big"}]},
        }
        await there.there.apply(APPLIED_WORKS, body, field_manager="test")
    there.member.forbidden.add((account, "ovens"))
    async with there.agent() as vitals:
        await cut_off(there, vitals)
        there.hub.start()
        await is_heard(vitals, seconds=120)
        assert there.replicas() is None, "and it is let go, too"


async def test_once_the_hub_is_heard_and_has_it_here_still_it_is_let_go_and_said() -> None:
    there = await scene()
    async with there.agent() as vitals:
        await cut_off(there, vitals)
        there.hub.start()
        await is_heard(vitals, seconds=120)
        assert there.replicas() is None, "who applies says his count again"
        found = there.member.peek(WEB)
        assert found is not None and not found["metadata"].get("annotations")
        assert ANNOTATION_FENCED not in (await there.applied()).metadata.annotations
        (told,) = (await there.hub.client().get(ASSIGNMENTS, NAME, namespace=SPACE)).status.conditions
        assert (told.type, told.status, told.reason) == (FENCED, "False", "HubHeardAgain")
        there.hub.stop()
        await asyncio.sleep(AFTER + 10)
        assert there.replicas() == 0, "and it is stopped again when it is alone again"


async def test_what_the_hub_has_taken_away_meanwhile_stays_stopped_until_it_is_purged() -> None:
    there = await scene()
    async with there.agent() as vitals:
        await cut_off(there, vitals)
        there.hub.start()
        held = {"metadata": {"finalizers": ["placement.meshctl.dev/applied"]}}
        hub = there.hub.client()
        await hub.merge_patch(WORKS, NAME, held, namespace=SPACE)
        await hub.delete(WORKS, NAME, namespace=SPACE)
        await is_heard(vitals, seconds=120)
        assert there.replicas() == 0


async def test_an_agent_that_begins_while_nobody_sees_it_looks_for_some_seconds_and_then_stops() -> None:
    there = await scene()
    async with there.agent() as vitals:
        await is_heard(vitals, seconds=20)
        await noted(there)
    there.hub.stop()
    for name in ("south", "west"):
        await there.peer(name, up=False)
    async with there.agent():
        await asyncio.sleep(FIRST_LOOK - 1)
        assert there.replicas() == 3
        await asyncio.sleep(3)
        assert there.replicas() == 0
    async with there.agent():
        await asyncio.sleep(60)
        assert there.replicas() == 0


async def test_nothing_is_asked_of_either_side_while_nothing_happens() -> None:
    there = await scene()
    async with there.agent() as vitals:
        await is_heard(vitals, seconds=20)
        await noted(there)
        await asyncio.sleep(10)
        there.hub.requests.clear()
        there.member.requests.clear()
        await is_heard(vitals, seconds=3600)
        assert there.hub.requests == []
        assert [one for one in there.member.requests if not one[2].endswith("/readyz")] == []
