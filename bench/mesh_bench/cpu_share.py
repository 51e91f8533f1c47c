"""How much of a busy machine the pods of a local set get.

The kernel weighs all pods of a set, which stand for several machines, like one process of somebody else.
Where round trips are looked at, or who is silent for how long, that would be a measurement of the others.
"""

from pathlib import Path

from mesh_local.cgroups import cgroups_of
from mesh_local.names import names_of

_FILES = {"cpu.shares": 1024, "cpu.weight": 100}
"""Of version 1 and 2 of cgroups, and what one process has."""


def weigh(folder: Path, *, processes: int) -> None:
    """From now on the pods of the set in `folder` count like so many processes; it goes with the set."""
    for cgroup in cgroups_of(names_of(folder.resolve())):
        for name, one in _FILES.items():
            if (file := cgroup / name).exists():
                file.write_text(str(one * processes))
