"""Keeps the table as the API server has it: names for each import, an address for the name server.

1. What is asked while the API server is away is answered from the last good state: only a change that was
   seen changes the table.
2. The table becomes complete once, when everything that the first complete lists of imports, slices and
   namespaces held has been worked. One that begins with a snapshot is complete before, and nothing changes
   in it until those lists are there; then goes what they lack.
3. An import has names only in a namespace that exists here.
4. A change costs what the one import that it belongs to says, however many others there are; only the coming
   and going of a namespace costs its imports.
5. The name server's own address is a courtesy to resolvers that follow NS records; nothing waits for it.
"""

import asyncio
from collections.abc import Callable
from typing import Never

from mesh_core.names import DNS, LABEL_SERVICE_NAME, SYSTEM_NAMESPACE
from mesh_core.objects import EndpointSlice, Namespace
from mesh_dns.entry import Entry
from mesh_dns.imports import addresses, is_headless, is_spellable
from mesh_dns.named import entry_of
from mesh_dns.nearby import Nearby
from mesh_dns.snapshot import Key
from mesh_dns.table import Table
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.kube import ENDPOINT_SLICES, NAMESPACES, SERVICE_IMPORTS, SERVICES, Informer, KubeClient
from mesh_runtime.log import logger
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)

_LONG = 0.01
"""Seconds for which building one name's answers may keep the loop before it is given back for longer."""

_STILL_SO = 300.0
"""Seconds after which what did not change is told of again."""


class Names:
    """Follows ServiceImports, their slices and namespaces, and our own Service into `table`.

    `changed` is called when the table is what the API server says, and may hold something new. With `nearest`
    headless imports answer with the endpoints of the nearest cluster first.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        table: Table,
        changed: Callable[[], None] = lambda: None,
        clock: Clock = utc_now,
        nearest: bool = False,
    ) -> None:
        self._table = table
        self._clock = clock
        self._changed = changed
        self._is_live = False
        self._nearby = Nearby(client, changed=self._reorder) if nearest else None
        self._queue: WorkQueue[Key] = WorkQueue()
        self._imports = Informer(client, SERVICE_IMPORTS)
        self._imports_in = self._imports.index(lambda imported: [imported.metadata.namespace])
        self._imports.feed(self._queue, lambda imported: [imported.key])
        self._slices = Informer(client, ENDPOINT_SLICES, labels=LABEL_SERVICE_NAME)
        self._slices_of = self._slices.index(_imports_of)
        self._slices.feed(self._queue, _imports_of)
        self._namespaces = Informer(client, NAMESPACES)
        self._namespaces.follow(self._take_namespace)
        self._lists = (self._imports, self._slices, self._namespaces)
        self._service = Informer(client, SERVICES, namespace=SYSTEM_NAMESPACE, fields=f"metadata.name={DNS}")
        self._service.on_change(self._put_name_server)

    async def run(self) -> Never:
        """Follow for ever; the end of this task changes nothing in the table."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._imports.run())
            tasks.create_task(self._slices.run())
            tasks.create_task(self._namespaces.run())
            tasks.create_task(self._service.run())
            if self._nearby is not None:
                tasks.create_task(self._nearby.run())
            tasks.create_task(self._follow())
            tasks.create_task(self._still_so())
        raise AssertionError("the informers never return")

    def heard_ago(self) -> float | None:
        """Seconds since the API server was last heard by the watch that heard it longest ago, or by whoever
        kept the snapshot: so old may an answer be. None before there is anything.

        A watch in which nothing happens is heard about once a minute.
        """
        if self._table.snapshot_of is not None:
            return max(0.0, self._clock().timestamp() - self._table.snapshot_of)
        heard = [one.last_heard for one in self._lists]
        now = asyncio.get_running_loop().time()
        return max(now - one for one in heard if one is not None) if None not in heard else None

    async def _follow(self) -> None:
        for one in self._lists:
            await one.synced.wait()
        # Of what a snapshot had and the lists lack, no informer tells.
        for key in self._table.entries:
            self._queue.add(key)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(work(self._queue, self._reconcile, name="name"))
            tasks.create_task(self._complete())

    async def _complete(self) -> None:
        await self._queue.until_idle()
        self._table.complete = True
        self._table.snapshot_of = None
        self._is_live = True
        self._changed()
        _log.info(
            "the names of this cluster are complete", imports=len(self._imports), slices=len(self._slices)
        )

    async def _reconcile(self, key: Key) -> None:
        namespace, name = key
        if not is_spellable(namespace=namespace, name=name):
            return  # An object name may have dots and 253 characters; such a one never was in the table.
        now = asyncio.get_running_loop().time
        began = now()
        entry = self._entry(key)
        if entry is not None:
            is_new = self._table.put(entry, namespace=namespace, service=name)
        else:
            is_new = self._table.drop(namespace=namespace, service=name)
        if is_new:
            self._tell()
        # Questions are answered by the same loop: whatever churns, they have four fifths of it.
        if (took := now() - began) > _LONG:
            await asyncio.sleep(4 * took)

    def _entry(self, key: Key) -> Entry | None:
        """What the zone says of an import; None when its name does not exist."""
        namespace, name = key
        return entry_of(
            self._imports.get(name, namespace=namespace),
            has_namespace=self._namespaces.get(namespace) is not None,
            slices=lambda: self._slices_of.get(key),
            places=self._nearby.places if self._nearby is not None else None,
        )

    def _reorder(self) -> None:
        for imported in self._imports.values():
            if is_headless(imported):
                self._queue.add(imported.key)

    def _take_namespace(self, key: tuple[str, str], old: Namespace | None, new: Namespace | None) -> None:
        if (old is None) == (new is None):
            return
        _, namespace = key
        for imported in self._imports_in.get(namespace):
            self._queue.add(imported.key)

    async def _still_so(self) -> Never:
        """What is kept says how old it is at most, also where nothing changes for long."""
        while True:
            await asyncio.sleep(_STILL_SO)
            ago = self.heard_ago()
            if ago is not None and ago < _STILL_SO:
                self._tell()

    def _tell(self) -> None:
        if self._is_live:
            self._changed()

    def _put_name_server(self) -> None:
        service = self._service.get(DNS, namespace=SYSTEM_NAMESPACE)
        ips = service.spec.cluster_ips if service is not None else ()
        if self._table.put_name_server(addresses(ips)):
            self._tell()


def _imports_of(piece: EndpointSlice) -> list[Key]:
    return [(piece.metadata.namespace, piece.metadata.labels.get(LABEL_SERVICE_NAME, ""))]
