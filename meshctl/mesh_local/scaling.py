"""Giving the clusters of a set another number of nodes while they run.

Laws:
1. The last nodes go, never the first, which runs the control plane. Their pods are evicted before, as
   `kubectl drain` does it; where that is refused, nothing has changed.
2. The state says the new number before a node is started or ended. A run that was cut off is finished by
   the next one with the same number, and `up` repairs what it was growing to.
"""

import asyncio
import datetime
import shutil
from dataclasses import replace
from pathlib import Path

from mesh_local import processes
from mesh_local.cgroups import remove_cgroups
from mesh_local.commands import environment, run
from mesh_local.errors import BadRequest, CommandFault, MachineFault, machine_refusals
from mesh_local.kubeconfig import write_kubeconfigs
from mesh_local.kubectl import kubectl_command
from mesh_local.layout import NodeFiles, SetFiles, files_in
from mesh_local.locks import alone_on_set
from mesh_local.mounts import mounts_below, unmount
from mesh_local.names import SetNames, names_of
from mesh_local.network import remove_namespace
from mesh_local.node_config import node_cgroup
from mesh_local.pki import issue_missing
from mesh_local.plan import MOST_NODES, ClusterPlan, NodePlan, check, plan_set
from mesh_local.raising import Raising
from mesh_local.root import require_root
from mesh_local.set_state import Phase, SetState, state_of_running, write_state
from mesh_local.up import supplies_for
from mesh_runtime.progress import Progress

_DRAIN_SECONDS = 90
_END_LIMIT = 120.0
_PACE = 0.05


async def scale(nodes: int, *, folder: Path, progress: Progress) -> None:
    """Returns when every cluster of the set in `folder` has so many nodes, and all of them are ready.

    Raises NotThere, BadRequest, Occupied, MachineFault, ComponentFault, CommandFault.
    """
    require_root("scale")
    files = files_in(folder)
    names = names_of(files.folder)
    with machine_refusals():
        async with alone_on_set(names.run_folder, folder=files.folder):
            state = state_of_running(files)
            wanted = replace(state, request=replace(state.request, nodes=nodes))
            _check(state, wanted)
            work = _Scaling(names=names, files=files, progress=progress)
            await work.shrink(state, wanted)
            await work.grow(wanted)


def _check(state: SetState, wanted: SetState) -> None:
    if state.request.light:
        raise BadRequest("light clusters have no nodes", next_step="bring clusters up without --light")
    check(wanted.request)
    if state.phase is not Phase.UP:
        raise BadRequest("these clusters were never complete", next_step="run `meshctl local up` again")


class _Scaling:
    def __init__(self, *, names: SetNames, files: SetFiles, progress: Progress) -> None:
        self._names = names
        self._files = files
        self._progress = progress

    async def shrink(self, state: SetState, wanted: SetState) -> None:
        """Evict, write the new number down, end what is beyond it."""
        kept = {node.name for node in wanted.plan.nodes}
        for cluster in state.plan.clusters:
            for node in reversed(cluster.nodes):
                if node.name not in kept:
                    with self._progress.step(f"Draining {node.name}"):
                        await self._drain(cluster, node)
        self._write_identities(wanted)
        write_state(wanted, files=self._files)
        largest = plan_set(replace(wanted.request, nodes=MOST_NODES), subnet=wanted.plan.subnet)
        for cluster in largest.clusters:
            for node in reversed(cluster.nodes):
                if node.name not in kept and self._is_there(cluster, node):
                    with self._progress.step(f"Removing {node.name}"):
                        await self._end(cluster, node)

    async def grow(self, wanted: SetState) -> None:
        """Start what the state says and does not run."""
        supplies = await supplies_for(wanted.request, progress=self._progress)
        await Raising(
            names=self._names, files=self._files, supplies=supplies, progress=self._progress
        ).repair(wanted)

    def _write_identities(self, wanted: SetState) -> None:
        now = datetime.datetime.now(datetime.UTC)
        for cluster in wanted.plan.clusters:
            own = self._files.cluster(cluster)
            issue_missing(cluster, files=own, now=now)
            write_kubeconfigs(cluster, files=own)

    def _is_there(self, cluster: ClusterPlan, node: NodePlan) -> bool:
        own = self._files.cluster(cluster).node(node)
        return self._names.namespace(node.name).exists() or own.folder.exists()

    async def _drain(self, cluster: ClusterPlan, node: NodePlan) -> None:
        options = ("--ignore-daemonsets", "--delete-emptydir-data", "--force")
        try:
            await self._kubectl(
                cluster,
                "drain",
                node.name,
                *options,
                f"--timeout={_DRAIN_SECONDS}s",
                limit=_DRAIN_SECONDS + 10,
            )
        except CommandFault:
            await self._kubectl(cluster, "uncordon", node.name)
            raise

    async def _end(self, cluster: ClusterPlan, node: NodePlan) -> None:
        """May be cut off anywhere and repeated; the folder goes last."""
        await self._kubectl(cluster, "delete", "node", node.name, "--ignore-not-found")
        deadline = asyncio.get_running_loop().time() + _END_LIMIT
        while living := await asyncio.to_thread(self._living, node):
            if asyncio.get_running_loop().time() > deadline:
                raise MachineFault(f"processes of {node.name} do not end", next_step="see why: ps")
            for process in living:
                processes.end(process)
            await asyncio.sleep(_PACE)
        await remove_cgroups(node_cgroup(self._names, node=node.name))
        await asyncio.to_thread(self._remove, self._files.cluster(cluster).node(node), node)

    def _living(self, node: NodePlan) -> list[processes.Process]:
        network = processes.namespace(self._names.namespace(node.name))
        if network is None:
            return []
        everyone = processes.all_processes()
        return [one for one in everyone if one.network == network]

    def _remove(self, files: NodeFiles, node: NodePlan) -> None:
        remove_namespace(self._names.namespace(node.name))
        for mount in mounts_below(files.folder):
            unmount(mount)
        shutil.rmtree(files.folder, ignore_errors=True)

    async def _kubectl(self, cluster: ClusterPlan, *words: str, limit: float = 30.0) -> None:
        argv = kubectl_command(words, cluster=cluster.name, folder=self._files.folder)
        await run(argv, environment=environment(self._names), limit=limit)
