"""A network and a process table of the benchmark's own, so that nothing of it can stay behind.

1. `run_inside` starts a module of ours there. Whatever it starts is gone when it ends, and it ends with us,
   even when we are killed: the kernel ends everything in a process namespace with its first process.
2. Ports, addresses and rules of the packet filter are those of the namespace; nobody else's are touched.
3. Secrets are written into memory that goes with the namespace (`private_folder`).
"""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from pyroute2 import IPRoute

from mesh_bench.bed import child_environment
from mesh_bench.faults import BenchFault
from mesh_local.cache import cache_dir

_FILES = 65536
"""Open files: ten thousand connections, both ways."""
SETTINGS: Mapping[str, str] = {
    # Thousands of connections a second, and each leaves a port behind for a minute.
    "net/ipv4/ip_local_port_range": "30000 65535",
    "net/core/somaxconn": "4096",
}


def run_inside(module: str, arguments: Sequence[str]) -> int:
    """The exit code of `python -m module` in namespaces of its own; 128 and more after a signal to us.

    Raises BenchFault without the rights.
    """
    if os.geteuid() != 0:
        raise BenchFault("namespaces need root", next_step="run the benchmark as root")
    inside = subprocess.Popen(
        [
            *("setpriv", "--pdeathsig", "KILL", "--"),
            *("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--"),
            *(sys.executable, "-m", module, *arguments),
        ],
        env=child_environment(),
        # Ctrl-C is for us, and we end it.
        start_new_session=True,
    )

    ended_by: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        ended_by.append(number)
        inside.kill()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        code = inside.wait()
        return 128 + ended_by[0] if ended_by else code
    finally:
        inside.kill()
        inside.wait()
        for number, handler in before.items():
            signal.signal(number, handler)


def furnish(*addresses: str) -> None:
    """Inside: loopback goes up and gets these addresses too, and limits are raised."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, max(_FILES, most)))
    except ValueError:
        # A machine that does not let root have more: who needs more counts it as errors.
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with IPRoute() as routes:
        (loopback,) = routes.link_lookup(ifname="lo")
        routes.link("set", index=loopback, state="up")
        for address in addresses:
            routes.addr("add", index=loopback, address=address, prefixlen=32)
    for name, value in SETTINGS.items():
        # A kernel without one of them is a kernel like that, and says so in no other way.
        with suppress(OSError):
            Path("/proc/sys", name).write_text(value)


def open_files() -> int:
    """How many files a process of the benchmark may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@contextmanager
def private_folder() -> Iterator[Path]:
    """Inside: a folder in memory that nobody outside sees."""
    folder = cache_dir() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "bench", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)
