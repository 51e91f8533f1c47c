"""Making a set of clusters, and starting again what died of one.

Laws:
1. The state is on disk before the first namespace exists, and says `up` only after everything was ready.
2. Clusters start side by side; the network between them is made before, in one go.
3. A node whose first process lives is left as it is. Any other gets a fresh network and a fresh first
   process on its old data, as a machine that was switched off and on.
"""

import asyncio
import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mesh_local import processes
from mesh_local.binaries import Component
from mesh_local.cgroups import make_cgroups, remove_cgroups
from mesh_local.cluster import Report, Supplies, start_cluster
from mesh_local.commands import environment
from mesh_local.control_plane import audit_policy
from mesh_local.host_settings import prepare_host
from mesh_local.kubeconfig import write_admin_kubeconfig, write_kubeconfigs
from mesh_local.layout import SetFiles
from mesh_local.leftovers import find_leftovers, remove_leftovers
from mesh_local.locks import alone_on_host
from mesh_local.names import SetNames
from mesh_local.network import make_node_network, make_routes, make_wan, networks_in_use
from mesh_local.node import Node, find_node, start_node
from mesh_local.node_config import node_cgroup
from mesh_local.node_files import write_node_files
from mesh_local.node_start import Needs
from mesh_local.pki import make_pki
from mesh_local.plan import ClusterPlan, NodePlan, Request, SetPlan, free_subnet
from mesh_local.processes import Process
from mesh_local.set_state import Phase, SetState, write_state
from mesh_local.together import together
from mesh_runtime.progress import Progress, Step


@dataclass(frozen=True, slots=True)
class Raising:
    """One run of `up` on one set; its lock is held by the caller."""

    names: SetNames
    files: SetFiles
    supplies: Supplies
    progress: Progress

    async def make(self, request: Request) -> None:
        """A new set, in place of whatever may be left of an old one."""
        if await asyncio.to_thread(find_leftovers, self.names, files=self.files):
            with self.progress.step("Removing what an interrupted run left"):
                await remove_leftovers(self.names, files=self.files)
        async with alone_on_host():
            subnet = free_subnet(await asyncio.to_thread(networks_in_use))
            state = SetState(
                request=request,
                subnet=str(subnet),
                phase=Phase.STARTING,
                binaries=self.supplies.binaries.origin,
                kubectl=self.supplies.binaries.commands[Component.KUBECTL],
            )
            write_state(state, files=self.files)
            # Once the host has an address in it, the kernel tells everybody that it is taken.
            await asyncio.to_thread(make_wan, self.names, plan=state.plan)
        self._write_cluster_files(state.plan)
        await self._start(state.plan)
        write_state(replace(state, phase=Phase.UP), files=self.files)

    async def repair(self, state: SetState) -> None:
        """Starts whatever does not run of a set that was complete once."""
        async with alone_on_host():
            await asyncio.to_thread(make_wan, self.names, plan=state.plan)
        await self._start(state.plan)

    def _write_cluster_files(self, plan: SetPlan) -> None:
        now = datetime.datetime.now(datetime.UTC)
        for cluster in plan.clusters:
            own = self.files.cluster(cluster)
            own.folder.mkdir(exist_ok=True)
            own.mark.touch()
            make_pki(cluster, files=own, now=now)
            write_kubeconfigs(cluster, files=own)
            if cluster.audit:
                own.audit_policy.write_text(audit_policy())
        write_admin_kubeconfig(plan, files=self.files)

    async def _start(self, plan: SetPlan) -> None:
        await prepare_host(light=plan.request.light, environment=environment(self.names))
        title = f"Starting {', '.join(cluster.name for cluster in plan.clusters)}"
        with self.progress.step(title) as step:
            reports = _Reports(step)
            dead = await asyncio.to_thread(self._dead_nodes, plan)
            for _, node in dead:
                # kubelet would ask at length after each container that it finds a cgroup of.
                await remove_cgroups(node_cgroup(self.names, node=node.name))
            await asyncio.to_thread(self._prepare, dead, plan=plan)
            await together(*(self._start_cluster(c, report=reports.of(c.name)) for c in plan.clusters))

    def _dead_nodes(self, plan: SetPlan) -> list[tuple[ClusterPlan, NodePlan]]:
        """Every node that does not run, with its cluster; blocks."""
        everyone = processes.all_processes()
        return [
            (cluster, node)
            for cluster in plan.clusters
            for node in cluster.nodes
            if self._find(cluster, node, among=everyone) is None
        ]

    def _prepare(self, nodes: Sequence[tuple[ClusterPlan, NodePlan]], *, plan: SetPlan) -> None:
        """Network, files and cgroups of nodes that do not run; blocks."""
        needs = Needs(folder=self.files.folder, programs=self._program_folders())
        for cluster, node in nodes:
            make_node_network(self.names, plan=plan, cluster=cluster, node=node)
            own = self.files.cluster(cluster)
            write_node_files(plan, cluster=cluster, node=node, names=self.names, files=own, needs=needs)
            if not cluster.light:
                make_cgroups(self.names, node=node.name)
        for cluster in plan.clusters:
            for node in cluster.nodes:
                make_routes(self.names, plan=plan, cluster=cluster, node=node)

    def _program_folders(self) -> list[Path]:
        """Of the programs themselves and of the links to them."""
        programs = [Path(command[0]) for command in self.supplies.binaries.commands.values()]
        return sorted({one.parent for path in programs for one in (path, path.resolve())})

    async def _start_cluster(self, cluster: ClusterPlan, *, report: Report) -> None:
        report("nodes")
        nodes = await together(*(self._node(cluster, node) for node in cluster.nodes))
        await start_cluster(
            cluster,
            nodes=nodes,
            files=self.files.cluster(cluster),
            supplies=self.supplies,
            kubeconfig=self.files.kubeconfig,
            report=report,
        )

    async def _node(self, cluster: ClusterPlan, node: NodePlan) -> Node:
        everyone = await asyncio.to_thread(processes.all_processes)
        found = self._find(cluster, node, among=everyone)
        own = self.files.cluster(cluster).node(node)
        return found or await start_node(node, names=self.names, files=own)

    def _find(self, cluster: ClusterPlan, node: NodePlan, *, among: Sequence[Process]) -> Node | None:
        own = self.files.cluster(cluster).node(node)
        return find_node(node, names=self.names, files=own, among=among)


class _Reports:
    """Where every cluster has got to, on one line."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._stages: dict[str, str] = {}

    def of(self, cluster: str) -> Callable[[str], None]:
        def report(stage: str) -> None:
            self._stages[cluster] = stage
            self._step.update(", ".join(f"{name}: {at}" for name, at in self._stages.items()))

        return report
