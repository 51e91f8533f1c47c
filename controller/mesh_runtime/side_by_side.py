"""Many waits on the network at once, a few at a time, with the first error as it is."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from mesh_core.errors import MeshError, causes

R = TypeVar("R")

AT_ONCE = 16


async def side_by_side(works: Iterable[Coroutine[Any, Any, R]], *, at_once: int = AT_ONCE) -> list[R]:
    """The results, in the order of `works`; the first MeshError ends the others and is raised.

    The two Any are what a coroutine would take and yield, which is asyncio's business.
    """
    places = asyncio.Semaphore(at_once)

    async def work(one: Coroutine[Any, Any, R]) -> R:
        async with places:
            return await one

    failed: list[MeshError] = []
    tasks: list[asyncio.Task[R]] = []
    begun = list(works)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work(one)) for one in begun]
    except* MeshError as errors:
        failed = causes(errors)
    finally:
        for one in begun:
            one.close()
    if failed:
        raise failed[0]
    return [task.result() for task in tasks]
