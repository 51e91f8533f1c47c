"""Keeps the status of one object of ours on the hub as the member is: the loop of capacity and links.

1. Wait for a change, gather, look, and write what is due. What is not due yet is looked at again when it is.
2. Within `rest` seconds of a write only what is urgent is looked at: looking may cost something.
3. Nobody else writes that status: what the hub has is read once, and known from then on.
4. A hub that does not take it is asked again with growing pauses, whatever changes meanwhile.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Never, Protocol, TypeVar

import msgspec

from mesh_core.errors import MeshError
from mesh_core.lifetimes import retry_delay
from mesh_core.objects import KubernetesObject
from mesh_placement.names import AGENT_MANAGER
from mesh_runtime.kube import ApiError, KubeClient, Resource
from mesh_runtime.log import logger

_log = logger(__name__)

T = TypeVar("T", bound=KubernetesObject)
S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)


class Due(Protocol[S_contra]):
    """When a status is to be written."""

    def __call__(self, seen: S_contra | None, wanted: S_contra, *, since_last: float | None) -> float | None:
        """Seconds until `wanted` is written over `seen`, None when nothing is there; None for never.

        `since_last` are the seconds since our last write, None when there was none.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Generic[T, S]):
    """The object `name` in `namespace`, and how `status` is had of it."""

    resource: Resource[T]
    name: str
    namespace: str
    status: Callable[[T], S]


class Teller(Generic[T, S]):
    """`look` gives the status as it should be, `gather` the seconds in which changes are gathered."""

    def __init__(
        self,
        hub: KubeClient,
        told: Told[T, S],
        *,
        look: Callable[[], Awaitable[S]],
        due: Due[S],
        gather: float,
        rest: float = 0.0,
    ) -> None:
        self._hub = hub
        self._told = told
        self._look = look
        self._due = due
        self._gather = gather
        self._rest = rest
        self._changed = asyncio.Event()
        self._urgent = asyncio.Event()
        self._seen: S | None = None
        self._written: float | None = None

    @property
    def seen(self) -> S | None:
        """What the hub has, as far as we know."""
        return self._seen

    def changed(self) -> None:
        """Something is otherwise."""
        self._changed.set()

    def changed_urgently(self) -> None:
        """Something is otherwise that somebody waits for."""
        self._urgent.set()
        self._changed.set()

    async def run(self) -> Never:
        """Tell, for ever."""
        failures = 0
        while True:
            self._changed.clear()
            self._urgent.clear()
            try:
                wait = await self._step()
                failures = 0
            except MeshError as error:
                wait = retry_delay(failures, jitter=random.random())
                failures += 1
                _log.warning(
                    "a status is not told", what=self._told.name, why=error.what, again_in=round(wait, 1)
                )
                await asyncio.sleep(wait)
                continue
            await self._pause(wait)

    async def _pause(self, wait: float | None) -> None:
        now = asyncio.get_running_loop().time()
        due = None if wait is None else now + wait
        await _until(self._changed, limit=due)
        await asyncio.sleep(self._gather)
        rested = now if self._written is None else self._written + self._rest
        await _until(self._urgent, limit=rested if due is None else min(rested, due))

    async def _step(self) -> float | None:
        """One look; seconds until the next one, None when only a change makes one due."""
        if self._seen is None:
            self._seen = await self._there()
        wanted = await self._look()
        wait = self._due(self._seen, wanted, since_last=self._since_write())
        if wait is None or wait > 0:
            return wait
        told = self._told
        body = {
            "metadata": {"name": told.name, "namespace": told.namespace},
            "status": msgspec.to_builtins(wanted),
        }
        await self._hub.apply(told.resource, body, field_manager=AGENT_MANAGER, subresource="status")
        self._seen, self._written = wanted, asyncio.get_running_loop().time()
        return None

    def _since_write(self) -> float | None:
        return None if self._written is None else asyncio.get_running_loop().time() - self._written

    async def _there(self) -> S | None:
        told = self._told
        try:
            return told.status(await self._hub.get(told.resource, told.name, namespace=told.namespace))
        except ApiError as error:
            if error.is_not_found:
                return None
            raise


async def _until(event: asyncio.Event, *, limit: float | None) -> None:
    """Return when it is set, or at `limit` by the loop's clock."""
    with suppress(TimeoutError):
        async with asyncio.timeout_at(limit):
            await event.wait()
