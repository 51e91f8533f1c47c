"""The work queue: one worker a key, nothing lost, three visible ends of retrying."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from mesh_core.errors import EnvironmentFault
from mesh_runtime.work import Terminal, WorkQueue, work

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


async def worked(queue: WorkQueue[str], reconcile: Callable[[str], Awaitable[float | None]]) -> None:
    """Work the queue with three workers until it is idle."""
    workers = [asyncio.create_task(work(queue, reconcile, name="test")) for _ in range(3)]
    try:
        async with asyncio.timeout(600):
            await queue.until_idle()
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def test_a_key_added_many_times_is_worked_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    seen: list[str] = []

    async def reconcile(key: str) -> None:
        seen.append(key)

    for key in ("a", "b", "a", "a"):
        queue.add(key)
    await worked(queue, reconcile)
    assert seen == ["a", "b"]


async def test_a_key_wakes_one_of_many_workers_and_many_keys_wake_as_many() -> None:
    queue: WorkQueue[str] = WorkQueue()
    takers = [asyncio.create_task(queue.take()) for _ in range(5)]
    await asyncio.sleep(0)
    queue.add("a")
    # Woken and cancelled before it looks: somebody else has to.
    takers[0].cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    assert [taker.done() for taker in takers] == [True, True, False, False, False]
    for key in ("b", "c"):
        queue.add(key)
    for _ in range(3):
        await asyncio.sleep(0)
    assert [taker.result() for taker in takers[1:4]] == ["a", "b", "c"]
    assert not takers[4].done()
    takers[4].cancel()
    await asyncio.gather(*takers, return_exceptions=True)


async def test_a_key_added_while_it_is_worked_is_worked_once_more_and_never_twice_at_a_time() -> None:
    queue: WorkQueue[str] = WorkQueue()
    at_work = 0
    runs = 0

    async def reconcile(key: str) -> None:
        nonlocal at_work, runs
        at_work += 1
        runs += 1
        assert at_work == 1
        if runs == 1:
            queue.add(key)
            queue.add(key)
        await asyncio.sleep(1)
        at_work -= 1

    queue.add("a")
    await worked(queue, reconcile)
    assert runs == 2


async def test_a_fault_is_tried_again_with_growing_waits_until_it_works() -> None:
    queue: WorkQueue[str] = WorkQueue()
    times: list[float] = []

    async def reconcile(key: str) -> None:
        times.append(asyncio.get_running_loop().time())
        if len(times) < 5:
            raise EnvironmentFault("not now", next_step="wait")

    queue.add("a")
    await worked(queue, reconcile)
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(times) == 5
    assert all(later > earlier for earlier, later in itertools.pairwise(waits))


async def test_a_change_ends_the_wait_after_a_fault_at_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    times: list[float] = []

    async def reconcile(key: str) -> float | None:
        times.append(asyncio.get_running_loop().time())
        return 300.0 if len(times) == 1 else None

    queue.add("a")
    asyncio.get_running_loop().call_later(5, queue.add, "a")
    await worked(queue, reconcile)
    assert times[1] - times[0] == pytest.approx(5, abs=0.1)


async def test_not_yet_is_looked_at_again_after_the_time_it_asked_for() -> None:
    queue: WorkQueue[str] = WorkQueue()
    times: list[float] = []

    async def reconcile(key: str) -> float | None:
        times.append(asyncio.get_running_loop().time())
        return 7.0 if len(times) == 1 else None

    queue.add("a")
    await worked(queue, reconcile)
    assert times[1] - times[0] == pytest.approx(7, abs=0.1)


async def test_what_will_not_get_better_is_given_up_and_others_go_on() -> None:
    queue: WorkQueue[str] = WorkQueue()
    seen: list[str] = []

    async def reconcile(key: str) -> None:
        seen.append(key)
        if key == "bad":
            raise Terminal("cannot be", next_step="change it")

    queue.add("bad")
    queue.add("good")
    await worked(queue, reconcile)
    assert seen == ["bad", "good"]


async def test_a_change_during_a_failing_run_waits_out_no_more_than_the_back_off() -> None:
    queue: WorkQueue[str] = WorkQueue()
    runs = 0

    async def reconcile(key: str) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            queue.add(key)
            raise EnvironmentFault("not now", next_step="wait")

    queue.add("a")
    await worked(queue, reconcile)
    assert runs == 2


async def test_a_defect_is_not_swallowed() -> None:
    queue: WorkQueue[str] = WorkQueue()

    async def reconcile(key: str) -> None:
        raise ZeroDivisionError

    queue.add("a")
    with pytest.raises(ZeroDivisionError):
        await work(queue, reconcile, name="test")
