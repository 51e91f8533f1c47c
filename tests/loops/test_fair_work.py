"""A queue whose lanes take turns."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.errors import EnvironmentFault
from mesh_fakes.under_way import under_way
from mesh_runtime.fair_work import FairQueue
from mesh_runtime.work import work

WORKERS, MOST = 4, 3


class Bench:
    """Keys "lane/number", each of which takes a second; `began` are those that were begun, in order."""

    def __init__(self) -> None:
        self.queue: FairQueue[str] = FairQueue(lane=lambda key: key.partition("/")[0], most=MOST)
        self.began: list[str] = []
        self.at_once: set[str] = set()
        self.most_of_a_lane = 0
        self.fails: set[str] = set()

    async def one(self, key: str) -> None:
        self.began.append(key)
        self.at_once.add(key)
        lanes = [other.partition("/")[0] for other in self.at_once]
        self.most_of_a_lane = max(self.most_of_a_lane, *map(lanes.count, lanes))
        await asyncio.sleep(1)
        self.at_once.discard(key)
        if key in self.fails:
            self.fails.discard(key)
            raise EnvironmentFault("not today", next_step="wait")

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        async with under_way(*(work(self.queue, self.one, name="test") for _ in range(WORKERS))):
            yield


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_who_comes_to_a_queue_that_one_lane_fills_is_worked_at_once() -> None:
    bench = Bench()
    async with bench.working():
        for number in range(1000):
            bench.queue.add(f"many/{number}")
        await asyncio.sleep(10.5)
        bench.queue.add("few/1")
        await asyncio.sleep(0.1)
        assert bench.began[-1] == "few/1"
    assert bench.most_of_a_lane == MOST


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_lanes_take_turns() -> None:
    bench = Bench()
    for lane, count in (("a", 6), ("b", 2), ("c", 1)):
        for number in range(count):
            bench.queue.add(f"{lane}/{number}")
    async with bench.working():
        await bench.queue.until_idle()
    assert bench.began == ["a/0", "b/0", "c/0", "a/1", "b/1", "a/2", "a/3", "a/4", "a/5"]


@given(
    keys=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.booleans()), max_size=40),
)
def test_nothing_is_lost_worked_twice_at_a_time_or_left_in_the_books(
    keys: list[tuple[str, int, bool]],
) -> None:
    async def story() -> None:
        bench = Bench()
        queue = bench.queue
        left = [f"{lane}/{number}" for lane, number, _ in keys]
        taken: list[str] = []
        for (_, _, finishes), key in zip(keys, left, strict=True):
            queue.add(key)
            if finishes:
                taken.append(await queue.take())
                queue.done(taken[-1])
        while queue.urgent:
            key = await queue.take()
            taken.append(key)
            queue.done(key)
        assert set(taken) == set(left)
        await asyncio.wait_for(queue.until_idle(), 1)

    asyncio.run(story())


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_what_fails_or_changes_while_it_is_worked_is_worked_again() -> None:
    bench = Bench()
    bench.fails.add("a/1")
    async with bench.working():
        bench.queue.add("a/1")
        bench.queue.add("b/1")
        await asyncio.sleep(0.5)
        bench.queue.add("b/1")
        await bench.queue.until_idle()
    assert bench.began == ["a/1", "b/1", "b/1", "a/1"]
