"""Work that SIGTERM ends as Ctrl-C does: what it has begun is cleaned up before the command ends."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import click

R = TypeVar("R")


async def interruptible(work: Coroutine[Any, Any, R]) -> R:  # Any: the coroutine's own send and yield types
    """What `work` gives; raises click.Abort where it was interrupted, when it has ended."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise click.Abort from None
