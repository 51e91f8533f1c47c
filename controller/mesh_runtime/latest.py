"""One value that changes, for readers who want the newest and nothing in between."""

import asyncio
from collections.abc import Coroutine

# A wait's yield and send types are the event loop's own business, hence Any.
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """The newest of the values published; None before the first, or when there is none any more.

    A reader keeps what it has seen and waits for something else, so no change is missed between two
    waits, whatever it did meanwhile.
    """

    def __init__(self) -> None:
        self.value: T | None = None
        self._changed = asyncio.Event()

    def publish(self, value: T | None) -> None:
        """Make `value` the newest; readers wake only if it differs from the last."""
        if value != self.value:
            self.value = value
            # Every waiter holds the event that it waits for; the next change gets a new one.
            self._changed.set()
            self._changed = asyncio.Event()

    async def after(self, seen: T | None) -> T | None:
        """The newest value, as soon as it is not `seen`."""
        while self.value == seen:
            await self._changed.wait()
        return self.value


async def first_of(*waits: Coroutine[Any, Any, object], limit: float | None = None) -> None:
    """Return when the first of `waits` has, or after `limit` seconds; the others are cancelled.

    What a wait raises passes through.
    """
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _pending = await asyncio.wait(tasks, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
