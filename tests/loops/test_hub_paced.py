"""What members say has the hub decide again, and none of them keeps it deciding."""

import asyncio
import threading
from dataclasses import dataclass, field

import pytest

from mesh_fakes.placing_scene import PlacingScene, placing_scene
from mesh_fakes.tiny_scheduler import no_demand, tiny_plan
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until, until_found
from mesh_placement.decide.overload import WINDOW
from mesh_placement.hub.caches import HubCaches
from mesh_placement.hub.placing.caches import PlacementCaches
from mesh_placement.hub.placing.cycle import Scheduling
from mesh_placement.hub.placing.load_telling import LoadTelling, load_metrics
from mesh_placement.names import LINKS
from mesh_placement.resources import CLUSTER_LINKS, CLUSTER_SETS
from mesh_placement.schedule.plan import Plan
from mesh_placement.schedule.snapshot import Snapshot
from mesh_runtime.metrics_text import metrics_text

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
                await until(lambda: len(slow.began) > count + 1, limit=90)
            first, second = slow.began[count : count + 2]
            assert second - first >= 2 * TAKES


async def test_a_hub_that_decides_too_slowly_says_so_in_its_sets_and_takes_it_back() -> None:
    async with placing_scene() as scene:
        slow = Slow()
        await scene.cluster("east")

        async def word() -> tuple[str, str]:
            conditions = (await scene.admin.get(CLUSTER_SETS, "prod")).status.conditions
            return next(((one.status, one.reason) for one in conditions), ("", ""))

        async def says_overloaded() -> bool:
            return await word() == ("True", "SlowCycles")

        async def takes_it_back() -> bool:
            return await word() == ("False", "KeepsPace")

        async with scene.placing(Scheduling(schedule=slow.plan, demand_of=no_demand)):
            await scene.place()
            await until(lambda: len(slow.began) == 1)
            # While it decides: nobody has to wait for the end of what does not end.
            await until_found(says_overloaded, limit=90)
            slow.may_end.set()
            await scene.decided(revision=1)
            began = len(slow.began)
            assert await says_overloaded()
            await asyncio.sleep(WINDOW)
            await until_found(takes_it_back)
            assert len(slow.began) <= began + 1, "its own word is no reason to decide"


async def test_the_page_of_metrics_has_cycles_waits_and_the_word() -> None:
    async with placing_scene() as scene:
        caches = PlacementCaches(scene.admin, hub=HubCaches(scene.admin))
        telling = LoadTelling(scene.admin, caches=caches, clock=scene.clock)
        telling.book.begin(asyncio.get_running_loop().time() - 7)
        telling.book.end(asyncio.get_running_loop().time())
        telling.added("one")
        await asyncio.sleep(3)
        telling.taken("one")
        telling.added("two")
        await asyncio.sleep(2)
        page = metrics_text(lambda: load_metrics(telling)).decode()
        for line in (
            "meshctl_hub_cycles_total 1.0",
            'meshctl_hub_cycle_seconds{quantile="0.99"} 7.0',
            'meshctl_hub_queue_wait_seconds{quantile="0.99"} 3.0',
            "meshctl_hub_queue_oldest_seconds 2.0",
            "meshctl_hub_leading 1.0",
            "meshctl_hub_overloaded 1.0",
        ):
            assert f"\n{line}\n" in page
        assert "\nmeshctl_hub_leading 0.0\n" in metrics_text(lambda: load_metrics(None)).decode()
