"""Things that run for ever, for as long as a test's block."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def under_way(*runs: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Run them beside the block; what one of them raises is raised at the block's end.

    The types a coroutine yields and is sent are the event loop's own business, hence Any.
    """
    tasks = [asyncio.create_task(run) for run in runs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end
