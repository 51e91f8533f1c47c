"""What an agent tells of room, by its loops under a clock that jumps: when it looks, writes, and waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from mesh_core.errors import EnvironmentFault
from mesh_fakes.agent_session import agent_session
from mesh_fakes.api_server import FakeApiServer
from mesh_placement.agent.capacity_loop import CapacityLoop
from mesh_placement.agent.telling import Teller, Told
from mesh_placement.names import CAPACITY
from mesh_placement.objects import ClusterCapacity, ClusterCapacityStatus
from mesh_placement.resources import ASSIGNMENTS, CLUSTER_CAPACITIES
from mesh_runtime.kube import NAMESPACES, NODES, PODS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

PLACE = "cluster-east"


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Scene:
    """A hub and a member, between which the loop runs."""

    hub: FakeApiServer = field(default_factory=FakeApiServer)
    member: FakeApiServer = field(default_factory=FakeApiServer)

    async def told(self) -> ClusterCapacityStatus:
        return (await self.hub.client().get(CLUSTER_CAPACITIES, CAPACITY, namespace=PLACE)).status

    @property
    def writes(self) -> int:
        return sum(method == "PATCH" for _user, method, *_ in self.hub.requests)

    async def node(self, name: str) -> None:
        status = {"allocatable": {"cpu": "4", "pods": "10"}}
        await self.member.client().create(NODES, {"metadata": {"name": name}, "status": status})

    async def pod(self, name: str) -> None:
        container = {"name": "a", "resources": {"requests": {"cpu": "1"}}}
        spec = {"nodeName": "n1", "containers": [container]}
        meta = {"name": name, "namespace": "shop"}
        await self.member.client().create(PODS, {"metadata": meta, "spec": spec})

    async def assign(self, name: str, *, visible: int) -> None:
        body = {"metadata": {"name": name, "namespace": PLACE}, "status": {"visible": visible}}
        await self.hub.client().apply(ASSIGNMENTS, body, field_manager="test")
        self.hub.requests.clear()


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    """A member with one node and the namespace shop, as soon as the hub knows of it."""
    found = Scene()
    hub, member = found.hub.client(), found.member.client()
    await hub.create(CLUSTER_CAPACITIES, {"metadata": {"name": CAPACITY, "namespace": PLACE}})
    await member.create(NAMESPACES, {"metadata": {"name": "shop"}})
    await found.node("n1")
    session = agent_session(hub, member, namespace=PLACE, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    tasks = [asyncio.ensure_future(one) for one in (session.kinds.run(), CapacityLoop(session).run())]
    try:
        await asyncio.sleep(3)
        yield found
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_nodes_and_names_are_told_at_the_start_and_nothing_while_nothing_changes() -> None:
    async with scene() as east:
        told = await east.told()
        assert told.available == {"cpu": "4", "pods": "10"}
        assert (told.namespaces, told.storage_classes) == (("shop",), ())
        await asyncio.sleep(600)
        assert east.writes == 1


async def test_pods_that_come_are_told_every_thirty_seconds_and_no_more_often() -> None:
    async with scene() as east:
        for number in range(4):
            await east.pod(f"p{number}")
            await asyncio.sleep(3)
        assert (await east.told()).available["cpu"] == "4"
        await asyncio.sleep(20)
        assert (await east.told()).available == {"cpu": "0", "pods": "6"}
        assert east.writes == 2


async def test_a_revision_is_told_at_once_and_with_the_pods_that_show_it() -> None:
    async with scene() as east:
        await asyncio.sleep(2)
        await east.assign("cart", visible=0)
        for number in range(2):
            await east.pod(f"p{number}")
        await asyncio.sleep(5)
        assert east.writes == 0, "numbers alone wait"
        await east.assign("cart", visible=7)
        # As if the watch of pods were a little behind that of the hub.
        await asyncio.sleep(0.5)
        await east.pod("p2")
        await asyncio.sleep(3)
        told = await east.told()
        assert (told.observed_assignments, told.available["cpu"]) == ({"cart": 7}, "1")
        assert east.writes == 1


async def test_a_revision_is_not_told_while_nobody_knows_which_pods_there_are() -> None:
    async with scene() as east:
        await asyncio.sleep(40)
        east.member.stop()
        await asyncio.sleep(1)
        await east.assign("cart", visible=7)
        await asyncio.sleep(120)
        assert (await east.told()).observed_assignments == {}
        east.member.start()
        await asyncio.sleep(60)
        assert (await east.told()).observed_assignments == {"cart": 7}


async def test_a_namespace_that_comes_is_told_without_waiting_for_numbers_to_be_due() -> None:
    async with scene() as east:
        await asyncio.sleep(2)
        await east.member.client().create(NAMESPACES, {"metadata": {"name": "new"}})
        await asyncio.sleep(12)
        assert (await east.told()).namespaces == ("new", "shop")


class Refused(EnvironmentFault):
    """Whatever a hub that is away makes of a call."""


def due(
    seen: ClusterCapacityStatus | None, wanted: ClusterCapacityStatus, *, since_last: float | None
) -> float | None:
    return None if seen == wanted else 0.0


async def test_a_hub_that_does_not_take_it_is_asked_with_growing_pauses_whatever_changes() -> None:
    looks = list[float]()
    kube = FakeApiServer().client()
    await kube.create(CLUSTER_CAPACITIES, {"metadata": {"name": CAPACITY, "namespace": PLACE}})

    async def look() -> ClusterCapacityStatus:
        looks.append(now())
        if now() < 300:
            raise Refused("away", next_step="wait")
        return ClusterCapacityStatus(nodes=3)

    told: Told[ClusterCapacity, ClusterCapacityStatus] = Told(
        resource=CLUSTER_CAPACITIES, name=CAPACITY, namespace=PLACE, status=lambda one: one.status
    )
    teller = Teller(kube, told, look=look, due=due, gather=0.1)
    task = asyncio.ensure_future(teller.run())
    for _ in range(4000):
        teller.changed_urgently()
        await asyncio.sleep(0.1)
    task.cancel()
    assert len([at for at in looks if at < 300]) < 20
    status = (await kube.get(CLUSTER_CAPACITIES, CAPACITY, namespace=PLACE)).status
    assert status.nodes == 3
