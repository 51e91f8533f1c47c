"""Bringing a container image into the nodes of a set, without a registry."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from mesh_local import processes
from mesh_local.errors import NotThere
from mesh_local.layout import SetFiles, files_in
from mesh_local.names import SetNames, names_of
from mesh_local.node import Node, find_node
from mesh_local.plan import ClusterPlan
from mesh_local.root import require_root
from mesh_local.set_state import SetState, state_of_running
from mesh_local.together import together
from mesh_runtime.progress import Progress


async def load(tar: Path, *, clusters: Sequence[str], folder: Path, progress: Progress) -> list[str]:
    """Imports a docker-archive or OCI tar into every node of the named clusters, or of all.

    Returns the names of the images that came in, sorted.

    Raises NotThere for a tar, set or cluster that is not there or does not run, CommandFault when
    containerd refuses.
    """
    if not tar.is_file():
        raise NotThere(f"{tar} is no file", next_step="name an image that was saved as a tar")
    files = files_in(folder)
    chosen = choose(state_of_running(files), clusters=clusters)
    require_root("load")
    nodes = await asyncio.to_thread(_nodes, chosen, names=names_of(files.folder), files=files)
    with progress.step(f"Loading {tar.name} into {', '.join(node.plan.name for node in nodes)}"):
        loaded = await together(*(_import(tar.resolve(), node=node) for node in nodes))
    return sorted(set().union(*loaded))


def choose(state: SetState, *, clusters: Sequence[str]) -> list[ClusterPlan]:
    """The named clusters of a set, or all; raises NotThere for a name that the set does not have."""
    known = {cluster.name: cluster for cluster in state.plan.clusters}
    for name in clusters:
        if name not in known:
            raise NotThere(f"there is no cluster {name!r}", next_step=f"use one of: {', '.join(known)}")
    return [known[name] for name in clusters or known]


def _nodes(clusters: Sequence[ClusterPlan], *, names: SetNames, files: SetFiles) -> list[Node]:
    everyone = processes.all_processes()
    nodes = []
    for cluster in clusters:
        if cluster.light:
            raise NotThere(
                f"{cluster.name} is a light cluster, which runs no images",
                next_step="bring clusters up without --light",
            )
        for plan in cluster.nodes:
            own = files.cluster(cluster).node(plan)
            node = find_node(plan, names=names, files=own, among=everyone)
            if node is None:
                raise NotThere(f"the node {plan.name} does not run", next_step="run `meshctl local up`")
            nodes.append(node)
    return nodes


async def _import(tar: Path, *, node: Node) -> set[str]:
    """What containerd says: `unpacking <name> (sha256:...)...done` for each image."""
    said = await node.ctr("images", "import", str(tar))
    return {line.split()[1] for line in said.splitlines() if line.startswith("unpacking ")}
