"""Keeps the table as the API server has it: a name for each import, an address for the name server.

1. What is asked while the API server is away is answered from the last good state: only a change that was
   seen changes the table.
2. The table becomes complete once, when everything that the first complete list held has been worked.
3. The name server's own address is a courtesy to resolvers that follow NS records; nothing waits for it.
"""

import asyncio
from typing import Never

from mesh_core.names import DNS, SYSTEM_NAMESPACE
from mesh_dns.imports import addresses, has_name, is_spellable
from mesh_dns.table import Table
from mesh_runtime.kube import SERVICE_IMPORTS, SERVICES, Informer, KubeClient
from mesh_runtime.log import logger
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)

Key = tuple[str, str]
"""(namespace, name) of a ServiceImport."""


class Names:
    """Follows ServiceImports and our own Service into `table`."""

    def __init__(self, client: KubeClient, *, table: Table) -> None:
        self._table = table
        self._queue: WorkQueue[Key] = WorkQueue()
        self._imports = Informer(client, SERVICE_IMPORTS)
        self._imports.feed(self._queue, lambda imported: [imported.key])
        self._service = Informer(client, SERVICES, namespace=SYSTEM_NAMESPACE, fields=f"metadata.name={DNS}")
        self._service.on_change(self._put_name_server)

    async def run(self) -> Never:
        """Follow for ever; the end of this task changes nothing in the table."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._imports.run())
            tasks.create_task(self._service.run())
            tasks.create_task(work(self._queue, self._reconcile, name="name"))
            tasks.create_task(self._complete())
        raise AssertionError("the informers never return")

    async def _complete(self) -> None:
        await self._imports.synced.wait()
        await self._queue.until_idle()
        self._table.complete = True
        _log.info("the names of this cluster are complete", imports=len(self._imports))

    async def _reconcile(self, key: Key) -> None:
        namespace, name = key
        if not is_spellable(namespace=namespace, name=name):
            return  # An object name may have dots and 253 characters; such a one never was in the table.
        imported = self._imports.get(name, namespace=namespace)
        if imported is not None and has_name(imported):
            found = addresses(imported.spec.ips)
            self._table.put(namespace=namespace, service=name, addresses=found)
        else:
            self._table.drop(namespace=namespace, service=name)

    def _put_name_server(self) -> None:
        service = self._service.get(DNS, namespace=SYSTEM_NAMESPACE)
        ips = service.spec.cluster_ips if service is not None else ()
        self._table.put_name_server(addresses(ips))
