"""Who is behind an address, kept current by watches of this cluster's Pods and Nodes.

1. Pods that have finished are left out by the API server: a cluster may keep many more of them than run.
2. Whoever waits for an address hears of it as soon as it is reported, and does not wait longer than he asked.
3. While the API server has not been heard yet, or is away, nobody waits for an address that is ours whoever
   has it: what is known stays, and what is not known would not become so. One that is ours only if a pod is
   reported there is waited for in any case.
4. `ground` is said to have changed when a pod comes to an address that the table of routes judged, or leaves
   it: whose pod it is decides who may name it as an endpoint.
"""

import asyncio
from collections.abc import Callable, Container, Iterable

from mesh_core.objects import Node, Pod
from mesh_core.ranges import Ranges
from mesh_gateway.ground import Ground
from mesh_gateway.sources import Looked, Pending, SourceIndex, Unknown
from mesh_runtime.kube import NODES, PODS, Informer, KubeClient

_UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"
_JUST_NOW = 3.0
"""Seconds: longer than a table takes to be computed."""
_MOST_MOVED = 1024
_HEARD_WITHIN = 150.0
"""Seconds: the API server sends a bookmark about once a minute."""

Key = tuple[str, str]


class SourceBook:
    """Run it in a task group; `look` may be asked at any time."""

    def __init__(self, kube: KubeClient) -> None:
        self._pods = Informer(kube, PODS, fields=_UNFINISHED)
        self._nodes = Informer(kube, NODES)
        self._index = SourceIndex()
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._changed: Callable[[], None] = _nobody
        self._judged: Container[str] = ()
        self._moved: dict[str, float] = {}  # when an address changed hands, lately
        self._pods.follow(self._pod_changed)
        self._nodes.follow(self._node_changed)

    @property
    def is_synced(self) -> bool:
        """Whether the pods and nodes that there are were heard of once."""
        return self._pods.synced.is_set() and self._nodes.synced.is_set()

    def look(self, address: str) -> Looked:
        """Who has this address now, as an IP address without port or brackets."""
        return self._index.look(address)

    async def wait(self, address: str, *, limit: float) -> Looked:
        """Who has the address as soon as that is known, else what is known of it after `limit` seconds."""
        found = self._index.look(address)
        if isinstance(found, Pending) and not self._pods.is_current(within=_HEARD_WITHIN):
            return found
        loop = asyncio.get_running_loop()
        end = loop.time() + limit
        while isinstance(found, Pending | Unknown) and (left := end - loop.time()) > 0:
            await self._news_of(address, limit=left)
            found = self._index.look(address)
        return found

    def ground(self, *, external: Ranges, reserved: Iterable[str]) -> Ground:
        """What a table of routes has to know of addresses."""
        return self._index.ground(external=external, reserved=reserved)

    def judged(self, addresses: Container[str]) -> None:
        """`addresses` are those that the table of the moment asked about as endpoints."""
        before, self._judged = self._judged, addresses
        since = asyncio.get_running_loop().time() - _JUST_NOW
        self._moved = {address: when for address, when in self._moved.items() if when > since}
        # While the table was computed nobody knew yet that these would matter.
        if any(address in addresses and address not in before for address in self._moved):
            self._changed()

    def neighbours_changed(self, ranges: Ranges) -> None:
        """`ranges` are those of the pods of peers on our network: never one of ours."""
        self._index.neighbours_changed(ranges)

    async def run(self, *, changed: Callable[[], None]) -> None:
        """Watch, for ever; `changed` is called when `ground` may say something new."""
        self._changed = changed
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pods.run())
            group.create_task(self._nodes.run())
            await self._pods.synced.wait()
            await self._nodes.synced.wait()
            changed()

    async def _news_of(self, address: str, *, limit: float) -> None:
        """Waits until something is heard of the address, or `limit` seconds."""
        news = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(address, set())
        waiting.add(news)
        try:
            await asyncio.wait((news,), timeout=limit)
        finally:
            waiting.discard(news)
            if not waiting and self._waiting.get(address) is waiting:
                del self._waiting[address]

    def _pod_changed(self, _key: Key, old: Pod | None, new: Pod | None) -> None:
        addresses = self._index.pod_changed(old, new)
        now = asyncio.get_running_loop().time()
        if len(self._moved) >= _MOST_MOVED:
            self._moved.clear()
            self._changed()  # which of them matter is not known then
        for address in addresses:
            _wake(self._waiting.get(address, ()))
            if self.is_synced:
                self._moved[address] = now
        # Where Nodes say what a pod's address is, other pods come and go without any difference to it.
        if self.is_synced and (
            (addresses and not self._index.stated) or any(one in self._judged for one in addresses)
        ):
            self._changed()

    def _node_changed(self, key: Key, _old: Node | None, new: Node | None) -> None:
        if self._index.node_changed(key[1], new) and self.is_synced:
            for waiting in self._waiting.values():
                _wake(waiting)
            self._changed()


def _wake(waiting: Iterable[asyncio.Future[None]]) -> None:
    for news in waiting:
        if not news.done():
            news.set_result(None)


def _nobody() -> None:
    """Nobody wants to hear of changes yet."""
