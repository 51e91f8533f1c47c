"""Which kinds the member has, and caches of those that it may not have.

The mesh's kinds, and ClusterProperty, may come and go while the agent runs. A cache of such a kind is filled
while its definition is established and is empty otherwise.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Generic, Never, TypeVar

from mesh_core.objects import CustomResourceDefinition, KubernetesObject
from mesh_runtime.kube import CRDS, Informer, KubeClient, Resource
from mesh_runtime.latest import first_of

T = TypeVar("T", bound=KubernetesObject)


class MemberKinds:
    """The member's definitions of kinds (CRDs)."""

    def __init__(self, member: KubeClient) -> None:
        self._definitions = Informer(member, CRDS)
        self._changed = asyncio.Event()
        self._definitions.on_change(self._wake)

    def has(self, resource: Resource[T]) -> bool:
        """Whether the member serves it."""
        found = self._definitions.get(f"{resource.plural}.{resource.group}")
        return found is not None and _is_established(found)

    def on_change(self, call: Callable[[], None]) -> None:
        """Call `call` after each change of a definition."""
        self._definitions.on_change(call)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return as soon as `holds()`, which asks what the member has."""
        await self._definitions.synced.wait()
        while not holds():
            await self._changed.wait()

    async def synced(self) -> None:
        """Return when it is known which kinds there are."""
        await self._definitions.synced.wait()

    async def run(self) -> Never:
        """Watch, for ever."""
        await self._definitions.run()

    def _wake(self) -> None:
        # Every waiter holds the event that it waits for; the next change gets a new one.
        self._changed.set()
        self._changed = asyncio.Event()


class OptionalCache(Generic[T]):
    """All objects of `resource` in `namespace`, "" for all, that `fields` and `labels` select; none while the
    member does not serve it.

    `synced` is set when what is in it is all there is.
    """

    def __init__(
        self,
        member: KubeClient,
        resource: Resource[T],
        *,
        kinds: MemberKinds,
        changed: Callable[[], None],
        fields: str = "",
        namespace: str = "",
        labels: str = "",
    ) -> None:
        self._member = member
        self._resource = resource
        self._kinds = kinds
        self._changed = changed
        self._selected = {"fields": fields, "namespace": namespace, "labels": labels}
        self._cache: Informer[T] | None = None
        self.synced = asyncio.Event()

    def values(self) -> list[T]:
        """The objects by (namespace, name)."""
        return sorted(self._cache.values() if self._cache else (), key=lambda one: one.key)

    def is_current(self, *, within: float) -> bool:
        """Whether what is in it was confirmed so lately; where the kind is not served, nothing can be old."""
        return self._cache is None or self._cache.is_current(within=within)

    async def run(self) -> Never:
        """Fill and empty it, for ever."""
        while True:
            await self._kinds.synced()
            if not self._kinds.has(self._resource):
                self.synced.set()
                await self._kinds.until(lambda: self._kinds.has(self._resource))
            self.synced.clear()
            cache = self._cache = Informer(self._member, self._resource, **self._selected)
            cache.on_change(self._changed)
            gone = self._kinds.until(lambda: not self._kinds.has(self._resource))
            await first_of(cache.run(), self._told(cache), gone)
            self._cache = None
            self._changed()

    async def _told(self, cache: Informer[T]) -> Never:
        await cache.synced.wait()
        self.synced.set()
        self._changed()
        while True:
            await asyncio.Future()


async def all_synced(caches: Iterable[asyncio.Event]) -> None:
    """Return when each of them is set."""
    for one in caches:
        await one.wait()


def _is_established(definition: CustomResourceDefinition) -> bool:
    return any(one.type == "Established" and one.status == "True" for one in definition.status.conditions)
