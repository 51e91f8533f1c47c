"""The cgroups below which kubelet puts a node's pods, in either version of cgroups.

Laws:
1. Making is repeatable; removing finds by name what any run left.
2. Under version 1 a fresh cpuset is empty and lets nothing in, so it is filled from its parent; under
   version 2 a controller works below only where its parent hands it down.
"""

import asyncio
import errno
import os
from contextlib import suppress
from pathlib import Path

from mesh_local.names import SetNames
from mesh_local.node_config import node_cgroup

_ROOT = Path("/sys/fs/cgroup")
_CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")

# A cgroup whose last process was just killed stays busy for a moment.
REMOVAL_LIMIT = 60.0
REMOVAL_PACE = 0.05


def make_cgroups(names: SetNames, *, node: str) -> None:
    """The node's folder in every hierarchy; raises OSError."""
    for hierarchy in _hierarchies():
        parent = hierarchy
        for part in Path(node_cgroup(names, node=node)).parts:
            child = parent / part
            child.mkdir(exist_ok=True)
            _hand_down(parent, child=child)
            parent = child


def cgroups_of(names: SetNames) -> list[Path]:
    """The set's folders, one in each hierarchy that has one."""
    return _existing(names.cgroup)


def _existing(path: str) -> list[Path]:
    return [folder for hierarchy in _hierarchies() if (folder := hierarchy / path).exists()]


def processes_in(cgroup: Path) -> set[int]:
    """PIDs of all processes in a cgroup or below it."""
    numbers: set[int] = set()
    for folder in _at_or_below(cgroup):
        with suppress(OSError):
            numbers.update(map(int, (folder / "cgroup.procs").read_text().split()))
    return numbers


async def remove_cgroups(path: str) -> None:
    """Removes what is at or below `path` in every hierarchy; raises OSError when it stays busy."""
    for cgroup in _existing(path):
        for folder in sorted(_at_or_below(cgroup), reverse=True):
            await _remove(folder)


def _at_or_below(cgroup: Path) -> list[Path]:
    """The folder and all below it. Kubelet removes some while we look: `os.walk` passes over these, where
    `Path.rglob` raises (seen when a set was taken down while its pods ended)."""
    return [Path(folder) for folder, _, _ in os.walk(cgroup)]


async def _remove(folder: Path) -> None:
    """Removes one folder, which holds no other; one that is gone already is fine."""
    deadline = asyncio.get_running_loop().time() + REMOVAL_LIMIT
    while True:
        try:
            folder.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(REMOVAL_PACE)


def _hierarchies() -> list[Path]:
    """Under version 2 there is one, under version 1 one for each controller."""
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT]
    return sorted(path for path in _ROOT.iterdir() if path.is_dir() and not path.is_symlink())


def _hand_down(parent: Path, *, child: Path) -> None:
    for name in _CPUSET_FILES:
        if (child / name).exists() and not (parent / "cgroup.controllers").exists():
            (child / name).write_text((parent / name).read_text())
    if (parent / "cgroup.subtree_control").exists():
        for controller in (parent / "cgroup.controllers").read_text().split():
            # Some controllers cannot be handed down everywhere; kubelet says which it misses.
            with suppress(OSError):
                (parent / "cgroup.subtree_control").write_text(f"+{controller}")
