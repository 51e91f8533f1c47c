"""Starting a cluster whose nodes run: which server after which, and what is waited for.

Laws:
1. Whatever runs already is left alone, so this also repairs a cluster of which something died.
2. kubelet starts only when containerd answers, the images are imported and the API server is ready:
   before that it would exit for good.
3. Every wait watches what it waits for: a server that died ends it at once, with the server's own words.
"""

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesh_local.binaries import Binaries, Component
from mesh_local.cluster_dns import DEPLOYMENT, NAMESPACE, dns_manifests
from mesh_local.control_plane import control_plane
from mesh_local.dns_probe import dns_answers
from mesh_local.errors import CommandFault
from mesh_local.images import Image
from mesh_local.layout import ClusterFiles
from mesh_local.logs import component_fault
from mesh_local.node import Node
from mesh_local.node_config import kubelet_arguments
from mesh_local.plan import ClusterPlan, NodePlan
from mesh_local.readiness import EVER, is_available, ready_nodes
from mesh_local.together import together
from mesh_runtime.kube import ApiError, KubeClient, Unreachable, connect

CONTAINERD = "containerd"
FIELD_MANAGER = "meshctl-local"

# Seconds that may pass on a busy machine with many clusters; a quiet one takes a tenth.
API_LIMIT = 180.0
CONTAINERD_LIMIT = 180.0
NODES_LIMIT = 240.0
DNS_LIMIT = 180.0
# Seconds for one answer: a node that just came may be deaf for a moment, and asking again is quicker.
READY_LIMIT = 2.0
# Seconds between two looks.
PACE = 0.15

# HTTP statuses from here on are the server's own trouble.
_SERVER_ERRORS = 500
_DNS_PATH = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{DEPLOYMENT}"

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Supplies:
    """What clusters are made of, all of it ready on this machine."""

    binaries: Binaries
    images: tuple[Image, ...]


def expected_components(cluster: ClusterPlan, node: NodePlan) -> tuple[str, ...]:
    """The servers that run on `node`, in the order in which they are started."""
    first = (Component.ETCD, Component.API_SERVER) if node == cluster.first else ()
    if cluster.light:
        return tuple(component.value for component in first)
    second = (Component.CONTROLLER_MANAGER, Component.SCHEDULER) if node == cluster.first else ()
    own = (Component.KUBELET.value, Component.PROXY.value)
    return (*(c.value for c in first), CONTAINERD, *(c.value for c in second), *own)


async def start_cluster(
    cluster: ClusterPlan,
    *,
    nodes: Sequence[Node],
    files: ClusterFiles,
    supplies: Supplies,
    kubeconfig: Path,
    report: Report,
) -> None:
    """Starts all servers of `cluster` and returns when it is ready, its DNS included.

    Raises ComponentFault, CommandFault, or what the API server refuses with.
    """
    async with connect(kubeconfig=kubeconfig, context=cluster.name) as kube:
        start = _Start(cluster, nodes=nodes, files=files, supplies=supplies, kube=kube, report=report)
        await start.control_plane()
        if cluster.light:
            await start.api_ready()
            return
        await together(start.api_in_use(), *(start.runtime(node) for node in nodes))
        now = datetime.datetime.now(datetime.UTC)
        for node in nodes:
            await start.kubelet(node)
        await start.nodes_ready(since=now)
        await start.dns_ready()


class _Start:
    def __init__(
        self,
        cluster: ClusterPlan,
        *,
        nodes: Sequence[Node],
        files: ClusterFiles,
        supplies: Supplies,
        kube: KubeClient,
        report: Report,
    ) -> None:
        self._cluster = cluster
        self._nodes = nodes
        self._first = nodes[0]
        self._files = files
        self._supplies = supplies
        self._kube = kube
        self._report = report
        self._servers = control_plane(cluster, files=files)
        self._api = [(self._first, c.value) for c in (Component.ETCD, Component.API_SERVER)]
        # Nodes whose kubelet was started by us, not found running.
        self._fresh: set[str] = set()

    async def control_plane(self) -> None:
        self._report("API server")
        for component in (Component.ETCD, Component.API_SERVER):
            await self._start(component)

    async def api_ready(self) -> None:
        async def answers() -> bool:
            await self._kube.request("GET", "/readyz", limit=READY_LIMIT)
            return True

        await self._wait(answers, limit=API_LIMIT, watching=self._api)

    async def api_in_use(self) -> None:
        """The API server is ready, its first clients run, and our objects are in."""
        await self.api_ready()
        for component in (Component.CONTROLLER_MANAGER, Component.SCHEDULER):
            await self._start(component)
        for node in self._cluster.nodes:
            await self._apply(_node_manifest(node))
        # Only once: from then on the Corefile belongs to those who edit it.
        if not await self._has_dns():
            for manifest in dns_manifests(self._cluster):
                await self._apply(manifest)

    async def runtime(self, node: Node) -> None:
        """The node's containerd runs and has the images."""
        await node.start(CONTAINERD, [CONTAINERD, f"--config={node.files.containerd_config}"])

        async def answers() -> bool:
            try:
                await node.ctr("version")
            except CommandFault:
                return False
            return True

        await self._wait(answers, limit=CONTAINERD_LIMIT, watching=[(node, CONTAINERD)])
        present = (await node.ctr("images", "list", "--quiet")).split()
        for image in self._supplies.images:
            if image.name not in present:
                await node.ctr("images", "import", str(image.tar))

    async def kubelet(self, node: Node) -> None:
        """kubelet and kube-proxy of one node."""
        self._report("nodes")
        arguments = kubelet_arguments(node=node.plan, files=self._files)
        command = self._supplies.binaries.commands
        if await node.start(Component.KUBELET.value, [*command[Component.KUBELET], *arguments]):
            self._fresh.add(node.plan.name)
        config = f"--config={node.files.proxy_config}"
        await node.start(Component.PROXY.value, [*command[Component.PROXY], config])

    async def nodes_ready(self, *, since: datetime.datetime) -> None:
        """Every node says so itself, and those whose kubelet was started now said so after `since`."""
        # The API has seconds only, and what it still says of a node that died is that it is ready.
        since = since.replace(microsecond=0)
        oldest = {node.name: since if node.name in self._fresh else EVER for node in self._cluster.nodes}

        async def ready() -> bool:
            heard = ready_nodes(await self._kube.request("GET", "/api/v1/nodes"))
            return all(name in heard and heard[name] >= oldest[name] for name in oldest)

        components = (CONTAINERD, Component.PROXY.value, Component.KUBELET.value)
        watching = [(node, component) for node in self._nodes for component in components]
        await self._wait(ready, limit=NODES_LIMIT, watching=[*self._api, *watching])

    async def dns_ready(self) -> None:
        self._report("cluster DNS")

        async def ready() -> bool:
            if not is_available(await self._kube.request("GET", _DNS_PATH)):
                return False
            return await asyncio.to_thread(
                dns_answers, self._cluster.dns_address, network=self._first.network
            )

        components = (Component.CONTROLLER_MANAGER, Component.SCHEDULER, Component.KUBELET)
        watching = [(self._first, component.value) for component in components]
        await self._wait(ready, limit=DNS_LIMIT, watching=[*self._api, *watching])

    async def _has_dns(self) -> bool:
        try:
            await self._kube.request("GET", _DNS_PATH)
        except ApiError as error:
            if error.is_not_found:
                return False
            raise
        return True

    async def _start(self, component: Component) -> None:
        argv = [*self._supplies.binaries.commands[component], *self._servers[component]]
        await self._first.start(component.value, argv)

    async def _apply(self, manifest: Mapping[str, Any]) -> None:
        """Applies a manifest, which is JSON, hence Any."""

        async def applied() -> bool:
            await self._kube.apply_manifest(manifest, field_manager=FIELD_MANAGER)
            return True

        await self._wait(applied, limit=API_LIMIT, watching=self._api)

    async def _wait(
        self,
        look: Callable[[], Awaitable[bool]],
        *,
        limit: float,
        watching: Sequence[tuple[Node, str]],
    ) -> None:
        """Looks until it is so; raises ComponentFault when a watched server died or time is up.

        The last of the watched is the one that is waited for.
        """
        deadline = asyncio.get_running_loop().time() + limit
        while not await _looked(look):
            for node, component in watching:
                node.check(component)
            if asyncio.get_running_loop().time() > deadline:
                node, component = watching[-1]
                what = f"{component} of {node.plan.name} was not ready after {limit:.0f} s"
                raise component_fault(what, log=node.files.log(component))
            await asyncio.sleep(PACE)


async def _looked(look: Callable[[], Awaitable[bool]]) -> bool:
    """What `look` says, and False while the API server is not yet able to tell."""
    try:
        return await look()
    except Unreachable:
        return False
    except ApiError as error:
        # Not found: the namespaces of the system come a moment after the API server is ready.
        if error.is_not_found or error.status >= _SERVER_ERRORS:
            return False
        raise


def _node_manifest(node: NodePlan) -> Mapping[str, Any]:
    """The Node before kubelet registers it: only so has it its pod range from the first moment."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name},
        "spec": {"podCIDR": str(node.pods), "podCIDRs": [str(node.pods)]},
    }
