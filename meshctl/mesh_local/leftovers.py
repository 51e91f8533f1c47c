"""Finding and removing all that there is of a set, by its id: with or without a word of it on disk.

Laws:
1. What is found does not depend on the state file, on the set's folder or on any process being alive.
2. Removing goes from what holds to what is held: processes, link, namespaces, cgroups, files. It may be
   cut off anywhere and repeated.
3. In the set's folder only what is ours is removed: the files of `layout` and folders with our mark.
"""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

from mesh_local import processes
from mesh_local.cgroups import cgroups_of, processes_in, remove_cgroups
from mesh_local.errors import MachineFault, Occupied
from mesh_local.layout import CLUSTER_MARK, SetFiles
from mesh_local.mounts import mounts_below, unmount
from mesh_local.names import SetNames
from mesh_local.network import has_host_link, remove_host_link, remove_namespace
from mesh_local.processes import Process
from mesh_local.set_state import read_state

# Seconds for all processes of a set to be gone; the kernel tears a node down in two or three.
END_LIMIT = 120.0
PACE = 0.05


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What there is of a set."""

    processes: tuple[Process, ...]
    namespaces: tuple[Path, ...]
    cgroups: tuple[Path, ...]
    host_link: bool
    files: tuple[Path, ...]

    def __bool__(self) -> bool:
        return bool(self.processes or self.namespaces or self.cgroups or self.host_link or self.files)


def find_leftovers(names: SetNames, *, files: SetFiles) -> Leftovers:
    """Looks everywhere; blocks for some milliseconds."""
    return Leftovers(
        processes=tuple(_living(names)),
        namespaces=tuple(_namespaces(names)),
        cgroups=tuple(cgroups_of(names)),
        host_link=has_host_link(names),
        files=tuple(_own_files(files)),
    )


async def remove_leftovers(names: SetNames, *, files: SetFiles) -> None:
    """Removes all there is; the run folder itself is left to who holds its lock.

    Raises MachineFault when processes do not end.
    """
    await _end_processes(names)
    await asyncio.to_thread(_remove_network, names)
    await remove_cgroups(names.cgroup)
    await asyncio.to_thread(_remove_files, files)


async def _end_processes(names: SetNames) -> None:
    deadline = asyncio.get_running_loop().time() + END_LIMIT
    while living := await asyncio.to_thread(_living, names):
        if asyncio.get_running_loop().time() > deadline:
            numbers = ", ".join(str(process.pid) for process in living)
            raise MachineFault(f"processes {numbers} do not end", next_step="see why: cat /proc/<pid>/stack")
        # A node's first process takes all others of the node along.
        for process in sorted(living, key=lambda one: one.numbers[1:] != (1,)):
            processes.end(process)
        await asyncio.sleep(PACE)


def _living(names: SetNames) -> list[Process]:
    networks = [found for path in _namespaces(names) if (found := processes.namespace(path))]
    everyone = processes.all_processes()
    living = processes.of_set(everyone, set_id=names.id, networks=networks)
    contained = {number for cgroup in cgroups_of(names) for number in processes_in(cgroup)}
    return [*living, *(one for one in everyone if one.pid in contained and one not in living)]


def _namespaces(names: SetNames) -> list[Path]:
    return sorted(names.namespaces.iterdir()) if names.namespaces.is_dir() else []


def _remove_network(names: SetNames) -> None:
    remove_host_link(names)
    for path in _namespaces(names):
        remove_namespace(path)
    for mount in mounts_below(names.run_folder):
        unmount(mount)
    shutil.rmtree(names.namespaces, ignore_errors=True)


def _own_files(files: SetFiles) -> list[Path]:
    if not files.folder.is_dir():
        return []
    clusters = sorted({mark.parent for mark in files.folder.glob(f"*/{CLUSTER_MARK}")} | _begun(files))
    # The state goes last, so that a removal that was cut off is still known for what it is.
    states = [path for path in (files.state_part, files.state) if path.exists()]
    if not (clusters or states):
        return []
    return [*clusters, *([files.kubeconfig] if files.kubeconfig.exists() else []), *states]


def _begun(files: SetFiles) -> set[Path]:
    """Folders of clusters that a run was killed at before it could mark them: still empty."""
    try:
        state = read_state(files)
    except Occupied:
        return set()
    folders = {files.folder / name for name in state.request.clusters} if state else set()
    return {folder for folder in folders if folder.is_dir() and not any(folder.iterdir())}


def _remove_files(files: SetFiles) -> None:
    for path in _own_files(files):
        for mount in mounts_below(path):
            unmount(mount)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    if files.folder.is_dir() and not any(files.folder.iterdir()):
        files.folder.rmdir()
