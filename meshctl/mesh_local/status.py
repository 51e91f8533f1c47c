"""How a set of clusters is right now: what runs, and which API servers say that they are ready.

Looking changes nothing and remembers nothing.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mesh_local import processes
from mesh_local.cluster import expected_components
from mesh_local.layout import SetFiles, files_in
from mesh_local.names import SetNames, names_of
from mesh_local.node import find_node
from mesh_local.plan import ClusterPlan
from mesh_local.processes import Process
from mesh_local.root import require_root
from mesh_local.set_state import Phase, SetState, read_state
from mesh_local.together import together
from mesh_runtime.kube import ApiError, KubeconfigError, Unreachable, connect

# Seconds for the one answer that is asked for: on a busy machine a server that is well may take some.
_ANSWER_LIMIT = 15.0


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """`components` says of each server that belongs on the node whether it runs."""

    name: str
    address: str
    namespace: Path
    running: bool
    components: dict[str, bool]

    @property
    def whole(self) -> bool:
        return self.running and all(self.components.values())


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """`ready` is what the API server says of itself."""

    name: str
    server: str
    ready: bool
    nodes: tuple[NodeStatus, ...]

    @property
    def whole(self) -> bool:
        return self.ready and all(node.whole for node in self.nodes)


@dataclass(frozen=True, slots=True)
class SetStatus:
    """`phase` is `starting` where no run has brought everything up yet."""

    folder: Path
    kubeconfig: Path
    phase: Phase
    subnet: str
    flat: bool
    light: bool
    binaries: str
    clusters: tuple[ClusterStatus, ...]

    @property
    def whole(self) -> bool:
        """Everything was up once, and is."""
        return self.phase is Phase.UP and all(cluster.whole for cluster in self.clusters)


async def look(folder: Path) -> SetStatus | None:
    """The status of the set in `folder`; None when there is none.

    Raises MachineFault for anybody but root, who alone may look into the nodes' processes.
    """
    files = files_in(folder)
    state = read_state(files)
    if state is None:
        return None
    require_root("status")
    return await look_at(state, files=files)


async def look_at(state: SetState, *, files: SetFiles) -> SetStatus:
    """The same for a set whose state was read already."""
    names = names_of(files.folder)
    everyone = await asyncio.to_thread(processes.all_processes)
    clusters = await together(
        *(_cluster(one, names=names, files=files, among=everyone) for one in state.plan.clusters)
    )
    return SetStatus(
        folder=files.folder,
        kubeconfig=files.kubeconfig,
        phase=state.phase,
        subnet=state.subnet,
        flat=state.request.flat,
        light=state.request.light,
        binaries=state.binaries,
        clusters=tuple(clusters),
    )


async def _cluster(
    cluster: ClusterPlan, *, names: SetNames, files: SetFiles, among: Sequence[Process]
) -> ClusterStatus:
    nodes = []
    for plan in cluster.nodes:
        own = files.cluster(cluster).node(plan)
        node = find_node(plan, names=names, files=own, among=among)
        running = {} if node is None else processes.components(node.first, among=among)
        expected = expected_components(cluster, plan)
        nodes.append(
            NodeStatus(
                name=plan.name,
                address=str(plan.address),
                namespace=names.namespace(plan.name),
                running=node is not None,
                components={component: component in running for component in expected},
            )
        )
    # Without its process the address is silent, and asking would take as long as the limit is.
    ready = nodes[0].whole and await _is_ready(cluster.name, kubeconfig=files.kubeconfig)
    return ClusterStatus(name=cluster.name, server=cluster.server, ready=ready, nodes=tuple(nodes))


async def _is_ready(context: str, *, kubeconfig: Path) -> bool:
    try:
        async with connect(kubeconfig=kubeconfig, context=context) as kube:
            await kube.request("GET", "/readyz", limit=_ANSWER_LIMIT)
    except (ApiError, Unreachable, KubeconfigError):
        return False
    return True
