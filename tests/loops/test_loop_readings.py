"""How a loop over keys says whether it keeps its pace: for metrics, so by what waits, and for how long."""

import asyncio

import pytest

from mesh_controller.key_loop import KeyLoop
from mesh_controller.metrics_page import LoopReading
from mesh_core.errors import EnvironmentFault
from mesh_fakes.under_way import under_way

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


async def test_what_waits_and_what_is_worked_grows_old_and_is_forgotten_when_done() -> None:
    go_on = asyncio.Event()

    async def reconcile(_key: str) -> None:
        await go_on.wait()

    loop: KeyLoop[str] = KeyLoop(reconcile, name="import", all_keys=lambda: ["a", "b", "c"])
    assert loop.reading() == LoopReading()
    async with under_way(loop.run()):
        await asyncio.sleep(30)
        loop.add("b")
        assert loop.reading() == LoopReading(waiting=2, oldest=30.0)
        go_on.set()
        await loop.first_pass.wait()
        assert loop.reading() == LoopReading()
    assert loop.reading() == LoopReading()


async def test_work_that_fails_is_counted_and_is_not_old_while_it_waits_to_be_tried_again() -> None:
    async def reconcile(_key: str) -> None:
        raise EnvironmentFault("the API server refuses it", next_step="nothing")

    loop: KeyLoop[str] = KeyLoop(reconcile, name="import", all_keys=lambda: ["a"])
    async with under_way(loop.run()):
        await asyncio.sleep(300)
        reading = loop.reading()
    assert reading.failures >= 5
    assert (reading.waiting, reading.oldest) == (0, 0.0)


async def test_what_was_asked_for_while_it_failed_does_not_grow_old_until_the_next_try() -> None:
    """A defect: a planned pause counted as waiting, so a throttled controller looked like a stuck one."""
    began = asyncio.Event()

    async def reconcile(_key: str) -> None:
        began.set()
        await asyncio.sleep(1)
        raise EnvironmentFault("the API server refuses it", next_step="nothing")

    loop: KeyLoop[str] = KeyLoop(reconcile, name="import", all_keys=lambda: ["a"])
    async with under_way(loop.run()):
        for _ in range(6):
            began.clear()
            await began.wait()
            loop.add("a")
        await asyncio.sleep(1.5)
        assert loop.reading() == LoopReading(waiting=0, oldest=0.0, failures=6)


async def test_what_waited_when_the_lease_was_lost_is_not_waited_for() -> None:
    async def reconcile(_key: str) -> None:
        await asyncio.Event().wait()

    loop: KeyLoop[str] = KeyLoop(reconcile, name="import", all_keys=lambda: ["a", "b"])
    async with under_way(loop.run()):
        await asyncio.sleep(10)
        assert loop.reading().oldest == 10.0
    assert loop.reading() == LoopReading()
