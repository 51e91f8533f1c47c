"""A hub and members as light clusters: etcd, an API server, and what `hub init` and `register` install.

Nothing runs in pods: hub and agents are started apart (`placement_programs`). Each member has six nodes that
nobody runs. Everything goes when the block ends, and a guard removes it when the benchmark is killed.
"""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from mesh_bench.bed import Cluster, cluster_in, guard_of, write_account
from mesh_bench.guard import SET
from mesh_cli.hub.placement_manifests import agent_manifests, hub_manifests
from mesh_cli.install.manifests import apply_definitions, apply_objects
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_local.down import down
from mesh_local.layout import SetFiles, files_in
from mesh_local.plan import Request
from mesh_local.up import up
from mesh_placement.names import AGENT, HUB, HUB_INFO
from mesh_placement.resources import CLUSTER_SETS
from mesh_runtime.kube import CONFIG_MAPS, KubeClient, connect
from mesh_runtime.progress import progress_for

HUB_CLUSTER = "hub"
CLUSTER_SET = "prod"
NODES = 6
_MANAGER = "bench"
_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class HubBed:
    """The clusters; `ca` is the hub's root in PEM."""

    folder: Path
    hub: Cluster
    members: tuple[Cluster, ...]
    ca: str


@asynccontextmanager
async def hub_bed(members: int) -> AsyncIterator[HubBed]:
    """A hub that knows no cluster yet, and so many clusters that know no hub."""
    folder = Path(mkdtemp(prefix="mesh-bench-"))
    files = files_in(folder / SET)
    progress = progress_for(sys.stderr)
    guard = guard_of(folder)
    names = (HUB_CLUSTER, *(f"m{count:02}" for count in range(members)))
    try:
        await up(Request(clusters=names, light=True), folder=files.folder, progress=progress)
        async with AsyncExitStack() as stack:
            free = asyncio.Semaphore(_AT_ONCE)
            made = await asyncio.gather(
                *(_made(files, name, folder=folder, stack=stack, free=free) for name in names)
            )
            ca = await _published(files, made)
            yield HubBed(folder, made[0], tuple(made[1:]), ca)
    finally:
        await down(folder=files.folder, progress=progress)
        shutil.rmtree(folder, ignore_errors=True)
        # Not before: should taking down be broken off, the guard finishes it.
        guard.kill()
        guard.wait()


async def _made(
    files: SetFiles, name: str, *, folder: Path, stack: AsyncExitStack, free: asyncio.Semaphore
) -> Cluster:
    kube = await stack.enter_async_context(connect(kubeconfig=files.kubeconfig, context=name))
    is_hub = name == HUB_CLUSTER
    async with free:
        manifests = hub_manifests(image=None) if is_hub else agent_manifests(image=None, access=True)
        await apply_definitions(kube, manifests)
        await apply_objects(kube, manifests)
        if not is_hub:
            await _add_nodes(kube)
        cluster = cluster_in(files, name=name, account=folder / f"{name}.kubeconfig", kube=kube)
        await write_account(HUB if is_hub else AGENT, cluster=cluster, target=cluster.account)
    return cluster


async def _published(files: SetFiles, made: list[Cluster]) -> str:
    """What controllers of a whole cluster, and `hub init`, write down; the hub's root."""
    roots = {one.name: (files.folder / one.name / "pki" / "ca.crt").read_text() for one in made}
    for one in made[1:]:
        meta = {"name": "kube-root-ca.crt", "namespace": SYSTEM_NAMESPACE}
        await one.kube.apply(
            CONFIG_MAPS, {"metadata": meta, "data": {"ca.crt": roots[one.name]}}, field_manager=_MANAGER
        )
    hub = made[0].kube
    await hub.apply(CLUSTER_SETS, {"metadata": {"name": CLUSTER_SET}, "spec": {}}, field_manager=_MANAGER)
    meta = {"name": HUB_INFO, "namespace": "kube-public"}
    data = {"server": hub.server, "ca.crt": roots[HUB_CLUSTER]}
    await hub.apply(CONFIG_MAPS, {"metadata": meta, "data": data}, field_manager=_MANAGER)
    return roots[HUB_CLUSTER]


async def _add_nodes(kube: KubeClient) -> None:
    sizes = {"cpu": "8", "memory": "32Gi", "pods": "110"}
    for count in range(NODES):
        body = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"node-{count}"},
            "status": {"capacity": sizes, "allocatable": sizes},
        }
        await kube.request("POST", "/api/v1/nodes", body=body)
