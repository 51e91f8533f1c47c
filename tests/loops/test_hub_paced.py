"""What members say has the hub decide again, and none of them keeps it deciding."""

import asyncio
import threading
from dataclasses import dataclass, field

import pytest

from mesh_fakes.placing_scene import PlacingScene, placing_scene
from mesh_fakes.tiny_scheduler import no_demand, tiny_plan
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_placement.hub.placing.cycle import Scheduling
from mesh_placement.names import LINKS
from mesh_placement.resources import CLUSTER_LINKS
from mesh_placement.schedule.plan import Plan
from mesh_placement.schedule.snapshot import Snapshot

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

TAKES = 5.0


@dataclass
class Slow:
    """A scheduler that is as slow as a test has it be; when its cycles began."""

    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    may_end: threading.Event = field(default_factory=threading.Event)
    began: list[float] = field(default_factory=list)

    def plan(self, snapshot: Snapshot) -> Plan:
        self.began.append(self.loop.time())
        assert self.may_end.wait(20), "the test lets it go"
        return tiny_plan(snapshot)


async def says(scene: PlacingScene, **status: object) -> None:
    meta = {"name": LINKS, "namespace": "cluster-east"}
    await scene.admin.apply(CLUSTER_LINKS, {"metadata": meta, "status": status}, field_manager="test")


async def flips(scene: PlacingScene) -> None:
    """A member that says otherwise twenty times a second."""
    while True:
        for state in ("Down", "Up"):
            await says(scene, peers=[{"cluster": "west", "state": state}])
            await asyncio.sleep(0.05)


async def test_a_member_that_flips_its_word_lets_the_hub_rest_as_long_as_it_decided() -> None:
    async with placing_scene() as scene:
        slow = Slow()
        slow.may_end.set()
        await scene.cluster("east")
        await says(scene, peers=[])
        async with scene.placing(Scheduling(schedule=slow.plan, demand_of=no_demand)):
            await scene.place()
            await scene.decided(revision=1)
            await asyncio.sleep(60)  # nothing is under way any more
            slow.may_end.clear()
            count = len(slow.began)
            async with under_way(flips(scene)):
                await until(lambda: len(slow.began) > count)
                await asyncio.sleep(TAKES)
                slow.may_end.set()
                await until(lambda: len(slow.began) > count + 1, limit=60.0)
            first, second = slow.began[count : count + 2]
            assert second - first >= 2 * TAKES
