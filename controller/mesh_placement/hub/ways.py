"""The hub's own ways to the members that it delivers to (Push): directly, or by the tunnel of the mesh."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Never

from mesh_placement.way.member import member_client
from mesh_placement.way.routes import Routes
from mesh_placement.way.tunnels import AccessLeaf, Tunnels
from mesh_runtime.clock import Clock
from mesh_runtime.kube import KubeClient


class Ways:
    """Every replica knows them. Only who delivers by a tunnel asks for a certificate of the mesh."""

    def __init__(self, kube: KubeClient, *, clock: Clock) -> None:
        self._routes = Routes(kube, clock=clock)
        self._leaf = AccessLeaf(kube)
        self._tunnels = Tunnels(self._leaf)
        self._used = asyncio.Event()

    def to(self, cluster: str) -> AbstractAsyncContextManager[KubeClient]:
        """A client for the API server of `cluster`; a request while there is no way raises Unreachable."""
        self._used.set()
        return member_client(cluster, routes=self._routes, tunnel=self._tunnels)

    @property
    def is_synced(self) -> bool:
        """Whether all of them are known."""
        return self._routes.is_synced

    async def until_synced(self) -> None:
        """Return when all of them are known."""
        await self._routes.synced()

    async def run(self) -> Never:
        """Watch, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._routes.run())
            group.create_task(self._leaf.run(self._used, self._routes.by_tunnel))
        raise AssertionError("a watch ended by itself")
