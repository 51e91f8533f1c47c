"""The machine's processes as the kernel tells them, and which of them are a set's.

Nothing here is remembered: no file of ours says who runs, so none can be wrong or lost.

Laws:
1. A process is a set's when it carries the set's mark or lives in one of its network namespaces.
2. A node's first process is the one with PID 1 in its namespace, one level below us.
3. A component is what was started in a node as the leader of a session and carries the component's
   mark: containerd's shims and kubelet's helpers inherit the mark, but lead no session.
4. A process is ended through a descriptor of it, so that a number used anew is never hit.
"""

import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mesh_local.names import COMPONENT_MARK, SET_MARK

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Namespace:
    """What tells one namespace from another: device and inode of its file."""

    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class Process:
    """One living process.

    `numbers` are its PIDs from our namespace inwards; `born` is its start in clock ticks, which with
    the PID identifies it; `set_id` and `component` are the marks in its environment, or empty.
    """

    pid: int
    parent: int
    session: int
    born: int
    numbers: tuple[int, ...]
    network: Namespace
    set_id: str
    component: str


def namespace(path: Path) -> Namespace | None:
    """The namespace behind a file, or None when there is no such file."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return Namespace(device=stat.st_dev, inode=stat.st_ino)


def all_processes() -> list[Process]:
    """Every living process that we may look into; zombies are none."""
    return list(_processes(int(entry) for entry in os.listdir(_PROC) if entry.isdigit()))


def children(pid: int) -> list[Process]:
    """The living children of a process; none when it is gone."""
    numbers: list[int] = []
    with suppress(OSError):
        for task in (_PROC / str(pid) / "task").iterdir():
            numbers += map(int, (task / "children").read_text().split())
    return list(_processes(numbers))


def of_set(processes: Iterable[Process], *, set_id: str, networks: Sequence[Namespace]) -> list[Process]:
    """The processes of a set, whose network namespaces are `networks`; never ourselves."""
    return [
        process
        for process in processes
        if (process.set_id == set_id or process.network in networks) and process.pid != os.getpid()
    ]


def first_process(processes: Iterable[Process], *, network: Namespace) -> Process | None:
    """The first process of the node that lives in `network`, if there is one."""
    for process in processes:
        if process.network == network and len(process.numbers) == 2 and process.numbers[-1] == 1:
            return process
    return None


def components(first: Process, *, among: Iterable[Process]) -> dict[str, Process]:
    """The components of the node whose first process is given, by their marks."""
    return {
        process.component: process
        for process in among
        if process.parent == first.pid and process.component and process.session == process.pid
    }


def is_alive(process: Process) -> bool:
    """Whether this very process still runs."""
    return any(found.born == process.born for found in _processes([process.pid]))


def end(process: Process) -> None:
    """Kills this very process, if it still lives."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if is_alive(process):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    finally:
        os.close(descriptor)


def _processes(numbers: Iterable[int]) -> Iterator[Process]:
    for number in numbers:
        # It may end at any moment of being read.
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            process = _read(number)
            if process is not None:
                yield process


def _read(pid: int) -> Process | None:
    folder = _PROC / str(pid)
    network = namespace(folder / "ns" / "net")
    if network is None:
        return None
    # The name, in brackets, may hold spaces and brackets itself.
    state, *fields = (folder / "stat").read_text().rpartition(")")[2].split()
    environment = (folder / "environ").read_bytes()
    if state in "ZX":
        return None
    status = (folder / "status").read_text()
    numbers = next(line for line in status.splitlines() if line.startswith("NSpid:"))
    marks = _marks(environment)
    return Process(
        pid=pid,
        parent=int(fields[0]),
        session=int(fields[2]),
        born=int(fields[18]),
        numbers=tuple(map(int, numbers.split()[1:])),
        network=network,
        set_id=marks.get(SET_MARK, ""),
        component=marks.get(COMPONENT_MARK, ""),
    )


def _marks(environment: bytes) -> dict[str, str]:
    marks = {}
    for entry in environment.split(b"\0"):
        name, _, value = entry.decode(errors="replace").partition("=")
        if name in (SET_MARK, COMPONENT_MARK):
            marks[name] = value
    return marks
