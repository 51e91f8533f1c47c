"""Putting many objects into a cluster at once, and taking them out; counts what the API server refused."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from mesh_bench.scene import Body, Key, endpoint_slice, namespace, namespaces, service, service_export
from mesh_runtime.kube import (
    ENDPOINT_SLICES,
    NAMESPACES,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    SERVICES,
    ApiError,
    BadAnswer,
    KubeClient,
    Unreachable,
)

X = TypeVar("X")

AT_ONCE = 32


class Stock:
    """What a benchmark makes in one cluster; `errors` counts requests that failed."""

    def __init__(self, kube: KubeClient) -> None:
        self.kube = kube
        self.errors = 0

    async def open_namespaces(self, names: Sequence[Key]) -> None:
        """The namespaces of `names`."""
        await self._all(namespaces(names), lambda one: self.kube.create(NAMESPACES, namespace(one)))

    async def add_services(self, names: Sequence[Key], *, endpoints: int) -> None:
        """The Services and their slices; the namespaces are there."""
        await self._all(names, lambda key: self.kube.create(SERVICES, service(key)))
        await self._all(
            names,
            lambda key: self.kube.create(ENDPOINT_SLICES, endpoint_slice(key, endpoints=endpoints)),
        )

    async def add_imports(self, imports: Sequence[Body], slices: Sequence[Body]) -> None:
        """ServiceImports and their slices, as a controller of ours would have written them."""
        await self._all(imports, lambda one: self.kube.create(SERVICE_IMPORTS, one))
        await self._all(slices, lambda one: self.kube.create(ENDPOINT_SLICES, one))

    async def export(self, names: Sequence[Key]) -> None:
        """A ServiceExport for each."""
        await self._all(names, lambda key: self.kube.create(SERVICE_EXPORTS, service_export(key)))

    async def withdraw(self, names: Sequence[Key]) -> None:
        """Delete the ServiceExports."""
        await self._all(names, lambda key: self.kube.delete(SERVICE_EXPORTS, key[1], namespace=key[0]))

    async def _all(self, items: Iterable[X], work: Callable[[X], Awaitable[object]]) -> None:
        """`work` on all items, AT_ONCE at a time."""
        left = iter(items)

        async def worker() -> None:
            for item in left:
                try:
                    await work(item)
                except (ApiError, BadAnswer, Unreachable):
                    self.errors += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(worker())
