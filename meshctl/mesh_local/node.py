"""A node: three namespaces, the process that keeps them, and the servers that run in them.

Laws:
1. Starting a node that runs, or a server that runs, changes nothing.
2. What runs in a node was started by nobody in particular: it outlives us, and the node's first
   process reaps it and takes it along when it ends.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mesh_local import processes
from mesh_local.commands import environment, run
from mesh_local.layout import NodeFiles
from mesh_local.logs import component_fault
from mesh_local.names import SetNames
from mesh_local.node_config import CONTAINERD_SOCKET
from mesh_local.node_start import READY
from mesh_local.plan import NodePlan
from mesh_local.processes import Process

START_LIMIT = 120.0  # seconds, for the namespaces and their file systems
PACE = 0.02
APPEARANCE_TRIES = 50


@dataclass(frozen=True, slots=True)
class Node:
    """A node whose first process runs."""

    plan: NodePlan
    names: SetNames
    files: NodeFiles
    first: Process

    async def start(self, component: str, argv: Sequence[str]) -> bool:
        """Starts a server in the node; its output goes to its log. False when it already runs.

        Raises ComponentFault when it ends at once.
        """
        if self.runs(component):
            return False
        enter = ["nsenter", f"--target={self.first.pid}", "--mount", "--pid", "--net", "--"]
        await _start_detached(
            [*enter, "setsid", "--fork", *argv],
            names=self.names,
            component=component,
            log=self.files.log(component),
        )
        # It exists as soon as setsid is back, but becomes a session's leader a moment later.
        for _ in range(APPEARANCE_TRIES):
            if component in self._components(processes.children(self.first.pid)):
                break
            await asyncio.sleep(PACE)
        self.check(component)
        return True

    def runs(self, component: str) -> bool:
        """Whether the server is there; whether it is ready is another question."""
        # The kernel's list of children may miss one while another ends: ask the long way before "no".
        return component in self._components(processes.children(self.first.pid)) or (
            component in self._components(processes.all_processes())
        )

    def _components(self, among: Sequence[Process]) -> dict[str, Process]:
        return processes.components(self.first, among=among)

    def check(self, component: str) -> None:
        """Raises ComponentFault when the node or this server of it has ended."""
        log = self.files.log(component)
        if not processes.is_alive(self.first):
            raise component_fault(f"the node {self.plan.name} ended", log=self.files.log("node"))
        if not self.runs(component):
            raise component_fault(f"{component} of {self.plan.name} ended", log=log)

    @property
    def network(self) -> Path:
        """The file of the node's network namespace."""
        return self.names.namespace(self.plan.name)

    @property
    def containerd_socket(self) -> Path:
        """Where we reach the node's containerd: through the root of its first process."""
        return Path(f"/proc/{self.first.pid}/root{CONTAINERD_SOCKET}")

    async def ctr(self, *arguments: str) -> str:
        """One command to the node's containerd, in the namespace of Kubernetes' images."""
        address = f"--address={self.containerd_socket}"
        argv = ["ctr", address, "--namespace=k8s.io", *arguments]
        return await run(argv, environment=environment(self.names))


async def start_node(node: NodePlan, *, names: SetNames, files: NodeFiles) -> Node:
    """Makes the node's namespaces and first process; network and `start_script` must be there.

    Raises ComponentFault when the script fails.
    """
    files.started.unlink(missing_ok=True)
    log = files.log("node")
    await _start_detached(
        [
            *("setsid", "--fork"),
            *("nsenter", f"--net={names.namespace(node.name)}", "--"),
            *("unshare", "--mount", "--pid", "--fork", "--mount-proc"),
            *("--propagation", "private", "--kill-child", "--"),
            *("bash", str(files.start_script)),
        ],
        names=names,
        component="",
        log=log,
    )
    outcome = await _outcome(files.started)
    found = await asyncio.to_thread(running_node, node, names=names, files=files)
    if outcome != READY or found is None:
        raise component_fault(f"the node {node.name} did not start", log=log)
    return found


def running_node(node: NodePlan, *, names: SetNames, files: NodeFiles) -> Node | None:
    """The node, if its first process runs; looks through all processes."""
    return find_node(node, names=names, files=files, among=processes.all_processes())


def find_node(node: NodePlan, *, names: SetNames, files: NodeFiles, among: Sequence[Process]) -> Node | None:
    """The node, if its first process is `among` the given ones."""
    network = processes.namespace(names.namespace(node.name))
    first = None if network is None else processes.first_process(among, network=network)
    return None if first is None else Node(plan=node, names=names, files=files, first=first)


async def _outcome(started: Path) -> str:
    deadline = asyncio.get_running_loop().time() + START_LIMIT
    while asyncio.get_running_loop().time() < deadline:
        # Its name is there a moment before its content.
        if started.exists() and (outcome := started.read_text().strip()):
            return outcome
        await asyncio.sleep(PACE)
    return ""


async def _start_detached(argv: Sequence[str], *, names: SetNames, component: str, log: Path) -> None:
    """Runs `argv`, in which `setsid --fork` lets go of what is to stay; that writes to `log`."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd="/",
            env=environment(names, component=component),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        code = await process.wait()
    if code != 0:
        raise component_fault(f"{argv[0]} exited with {code}", log=log)
