"""Answers of the hub, kept for some seconds, so that a request in a row of many asks nothing.

Who asks for what somebody else is asking for already waits for the same answer. A failure is not kept.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_MOST: Final = 4096


class Kept(Generic[K, V]):
    """Answers by key; `seconds` says how long one is good. The oldest goes when there are too many."""

    def __init__(self, *, seconds: Callable[[V], float]) -> None:
        self._seconds = seconds
        self._answers: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._asking: dict[K, asyncio.Task[V]] = {}

    def peek(self, key: K) -> V | None:
        """A good answer that is there."""
        found = self._answers.get(key)
        if found is None or asyncio.get_running_loop().time() >= found[0]:
            return None
        return found[1]

    async def get(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        """The answer that is there, or what `ask` says; raises what `ask` raises."""
        found = self.peek(key)
        if found is not None:
            return found
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.ensure_future(self._ask(key, ask))
            # If nobody waits for it any more, nobody else looks at how it failed.
            asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        # Not ended with the one who was first: others may wait for it.
        return await asyncio.shield(asking)

    async def _ask(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        try:
            answer = await ask()
        finally:
            del self._asking[key]
        lasts = self._seconds(answer)
        if lasts > 0:
            self._answers[key] = asyncio.get_running_loop().time() + lasts, answer
            self._answers.move_to_end(key)
            if len(self._answers) > _MOST:
                self._answers.popitem(last=False)
        return answer
