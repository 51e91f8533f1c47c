"""Waiting for a condition, with a limit; never for a time."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], *, limit: float = 5.0) -> None:
    """Return as soon as `condition()` holds; TimeoutError after `limit` seconds."""
    async with asyncio.timeout(limit):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)
