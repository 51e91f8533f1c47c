"""The newest picture, made once for all who look; nobody asks clusters while nobody looks.

A look that takes long is waited for, never begun twice. What viewers are told grows old in their browsers,
which count from what they last heard: so a page knows that it is stale when we are gone, too.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from mesh_cli.graph.drawing import rated
from mesh_cli.graph.looking import Look
from mesh_cli.graph.picture import Picture

MOST_VIEWERS: Final = 16


class Board:
    """Call `run` once; `every` is the number of seconds from one look to the next."""

    def __init__(self, look: Look, *, every: float, time: Callable[[], float]) -> None:
        self.every = every
        self._look = look
        self._time = time
        self._news = asyncio.Condition()
        self._viewers = 0
        self._picture: Picture | None = None
        self._number = 0
        self._seen_at = 0.0

    @property
    def picture(self) -> Picture | None:
        """None before the first look has ended."""
        return self._picture

    @property
    def age(self) -> float:
        """Seconds since the newest picture."""
        return self._time() - self._seen_at

    @property
    def is_full(self) -> bool:
        return self._viewers >= MOST_VIEWERS

    async def run(self) -> None:
        """Look, tell, wait; for ever."""
        while True:
            async with self._news:
                await self._news.wait_for(lambda: self._viewers > 0 or self._picture is None)
            picture = await self._look()
            before = self._picture
            self._picture = rated(picture, before=before) if before is not None else picture
            self._seen_at = self._time()
            async with self._news:
                self._number += 1
                self._news.notify_all()
            await asyncio.sleep(self.every)

    async def pictures(self) -> AsyncGenerator[Picture, None]:
        """The newest picture, and each one after it; a slow viewer misses those in between."""
        told = 0
        with self._viewing():
            async with self._news:
                self._news.notify_all()
            while True:
                async with self._news:
                    while self._number == told:
                        await self._news.wait()
                    told = self._number
                assert self._picture is not None
                yield self._picture

    @contextmanager
    def _viewing(self) -> Iterator[None]:
        self._viewers += 1
        try:
            yield
        finally:
            self._viewers -= 1
