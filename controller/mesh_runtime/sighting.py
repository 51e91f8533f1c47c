"""Waiting until something is to be seen in the API server, by a watch and with a limit."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from mesh_core.objects import KubernetesObject
from mesh_runtime.kube import Informer

T = TypeVar("T", bound=KubernetesObject)
R = TypeVar("R")


async def sighting(informer: Informer[T], *, look: Callable[[], R | None], limit: float) -> R | None:
    """Run `informer` until `look` finds something, at most `limit` seconds; what it found, or None.

    `look` is called when the informer has its first list and after every change; it must be quick and
    must not raise.
    """
    changed = asyncio.Event()
    informer.on_change(changed.set)
    found: R | None = None
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(informer.run())
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await informer.synced.wait()
                while (found := look()) is None:
                    changed.clear()
                    await changed.wait()
        watching.cancel()
    return found
