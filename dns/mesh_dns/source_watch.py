"""Follows the API server into `Sources`: Nodes, and the endpoints of the cluster's DNS Service.

1. What was heard stays while the API server is away.
2. Nothing waits for it: questions are answered before anything of it is known.
"""

import asyncio
from typing import Never

from mesh_core.names import LABEL_KUBERNETES_SERVICE
from mesh_core.objects import EndpointSlice, Node
from mesh_dns.sources import Sources
from mesh_runtime.kube import ENDPOINT_SLICES, NODES, Informer, KubeClient

CLUSTER_DNS_NAMESPACE, CLUSTER_DNS = "kube-system", "kube-dns"
"""The name that the cluster's DNS Service has by convention, whatever program answers."""

Key = tuple[str, str]


class SourceWatch:
    """Run it in a task group."""

    def __init__(self, client: KubeClient, *, sources: Sources) -> None:
        self._sources = sources
        self._nodes = Informer(client, NODES)
        self._nodes.follow(self._node_changed)
        self._slices = Informer(
            client,
            ENDPOINT_SLICES,
            namespace=CLUSTER_DNS_NAMESPACE,
            labels=f"{LABEL_KUBERNETES_SERVICE}={CLUSTER_DNS}",
        )
        self._slices.on_change(self._slices_changed)

    async def run(self) -> Never:
        """Follow for ever; the end of this task changes nothing in what is known."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._nodes.run())
            tasks.create_task(self._slices.run())
            await self._nodes.synced.wait()
            await self._slices.synced.wait()
            self._sources.is_known = True
        raise AssertionError("the informers never return")

    def _node_changed(self, key: Key, _old: Node | None, new: Node | None) -> None:
        self._sources.node_changed(key[1], new)

    def _slices_changed(self) -> None:
        self._sources.cluster_dns_changed(
            address for piece in self._slices.values() for address in _addresses(piece)
        )


def _addresses(piece: EndpointSlice) -> list[str]:
    return [address for endpoint in piece.endpoints or () for address in endpoint.addresses]
