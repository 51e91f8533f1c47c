"""Which gateways of this cluster are alive, as this one sees it (ruling 7): for the hello of tunnels."""

import asyncio
from collections.abc import Callable
from typing import Never

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Lease
from mesh_core.replicas import SELECTOR, Hearing
from mesh_runtime.kube import LEASES, Informer, KubeClient


class Siblings:
    """The living replicas, `own` always among them; run it in a task group."""

    def __init__(self, kube: KubeClient, *, own: str) -> None:
        self._own = own
        self._hearing = Hearing()
        self._alive: tuple[str, ...] = (own,)
        self._followers: list[Callable[[], None]] = []
        self._leases = Informer(kube, LEASES, namespace=SYSTEM_NAMESPACE, labels=SELECTOR)
        self._leases.follow(self._follow)

    def alive(self) -> tuple[str, ...]:
        """The replicas whose Leases are being renewed, this one included, sorted."""
        return self._alive

    def on_change(self, call: Callable[[], None]) -> None:
        """Call `call` when `alive()` says something else; it must be quick and must not raise."""
        self._followers.append(call)

    async def run(self) -> Never:
        """Watch, for ever."""
        await self._leases.run()

    def _follow(self, key: tuple[str, str], _old: Lease | None, new: Lease | None) -> None:
        if new is None:
            self._hearing.gone(key[1])
        else:
            self._hearing.saw(new, now=asyncio.get_running_loop().time())
        alive = tuple(sorted({self._own, *self._hearing.alive()}))
        if alive != self._alive:
            self._alive = alive
            for call in self._followers:
                call()
