"""Follows the API server into `Sources`: Nodes, and the endpoints of the cluster's DNS Service.

1. What was heard stays while the API server is away.
2. Nothing waits for it: questions are answered before anything of it is known.
3. Who is local is known when the lists were there, and one endpoint of cluster DNS at least: where that has a
   name that nobody told us, a limit would be for all pods of the cluster.
"""

import asyncio
from collections.abc import Iterator
from itertools import groupby
from typing import Never

from mesh_core.names import CLUSTER_DNS_LABEL, CLUSTER_DNS_SERVICES, LABEL_KUBERNETES_SERVICE
from mesh_core.objects import EndpointSlice, Node
from mesh_dns.sources import Sources
from mesh_runtime.kube import ENDPOINT_SLICES, NODES, Informer, KubeClient
from mesh_runtime.log import logger

_log = logger(__name__)

Key = tuple[str, str]


class SourceWatch:
    """Run it in a task group."""

    def __init__(self, client: KubeClient, *, sources: Sources) -> None:
        self._sources = sources
        self._nodes = Informer(client, NODES)
        self._nodes.follow(self._node_changed)
        self._slices = [
            Informer(client, ENDPOINT_SLICES, namespace=namespace, labels=labels)
            for namespace, labels in _places()
        ]
        for one in self._slices:
            one.on_change(self._slices_changed)
        self._has_dns = asyncio.Event()

    async def run(self) -> Never:
        """Follow for ever; the end of this task changes nothing in what is known."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._nodes.run())
            for one in self._slices:
                tasks.create_task(one.run())
            for synced in (self._nodes.synced, *(one.synced for one in self._slices)):
                await synced.wait()
            if not self._has_dns.is_set():
                _log.info("no endpoint of cluster DNS is known yet, so no asker is limited")
            await self._has_dns.wait()
            self._sources.is_known = True
        raise AssertionError("the informers never return")

    def _node_changed(self, key: Key, _old: Node | None, new: Node | None) -> None:
        self._sources.node_changed(key[1], new)

    def _slices_changed(self) -> None:
        found = {address for one in self._slices for piece in one.values() for address in _addresses(piece)}
        self._sources.cluster_dns_changed(found)
        if found:
            self._has_dns.set()


def _places() -> Iterator[Key]:
    """Namespaces and selectors of the slices of cluster DNS, under each name that it may have."""
    namespace, key, value = CLUSTER_DNS_LABEL
    yield namespace, f"{key}={value}"
    for namespace, services in groupby(sorted(CLUSTER_DNS_SERVICES), key=lambda place: place[0]):
        names = ",".join(name for _, name in services)
        yield namespace, f"{LABEL_KUBERNETES_SERVICE} in ({names})"


def _addresses(piece: EndpointSlice) -> list[str]:
    return [address for endpoint in piece.endpoints or () for address in endpoint.addresses]
