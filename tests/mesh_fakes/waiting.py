"""Waiting for a condition, with a limit; never for a time."""

import asyncio
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], bool], *, limit: float = 90.0) -> None:
    """Return as soon as `condition()` holds; TimeoutError after `limit` seconds."""
    async with asyncio.timeout(limit):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


async def until_found(condition: Callable[[], Awaitable[bool]], *, limit: float = 90.0) -> None:
    """The same for a condition that has to be asked for; once it holds it is not asked for again."""
    async with asyncio.timeout(limit):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.05)
