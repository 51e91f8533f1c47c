"""What a live test compares with later: what it saw once that stood still, never what was still under way."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

T = TypeVar("T")

QUIET = 4.0
LIMIT = 120.0
_PACE = 0.2


async def at_rest(look: Callable[[], Awaitable[T]], *, quiet: float = QUIET, limit: float = LIMIT) -> T:
    """What `look` gave for `quiet` seconds, and twice at least, without a change."""
    last, since, looks = await look(), time.monotonic(), 1
    async with asyncio.timeout(limit):
        while looks < 2 or time.monotonic() - since < quiet:
            await asyncio.sleep(_PACE)
            found = await look()
            if found == last:
                looks += 1
            else:
                last, since, looks = found, time.monotonic(), 1
    return last


async def until_again(
    look: Callable[[], Awaitable[Mapping[str, object]]],
    before: Mapping[str, object],
    *,
    limit: float = LIMIT,
) -> None:
    """Return when `look` gives what it did before; what is not the same is in the error."""
    end = time.monotonic() + limit
    while True:
        now = await look()
        if now == before:
            return
        other = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        told = "\n".join(f"{name}: {before.get(name)}, now {now.get(name)}" for name in other)
        assert time.monotonic() < end, told
        await asyncio.sleep(_PACE)
