"""What this machine must offer before a cluster can run on it, and how to get it on Debian.

A package counts as there when its programs are, whoever installed them.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mesh_local.cache import cache_dir
from mesh_local.child import run_logged
from mesh_local.errors import CommandFault, MachineFault
from mesh_runtime.progress import Progress

# Seconds to wait for another apt or dpkg that is at work.
_DPKG_WAIT = 120

# Servers' programs are here, which the PATH of a person may leave out.
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")


@dataclass(frozen=True, slots=True)
class Need:
    """A Debian package, and the programs (names, or absolute paths) by which it is seen to be there."""

    package: str
    programs: tuple[str, ...]


# A light cluster has no pods: namespaces are all it takes.
LIGHT = (Need("util-linux", ("nsenter", "unshare")),)
NODE = (
    Need("containerd", ("containerd", "containerd-shim-runc-v2", "ctr")),
    Need("runc", ("runc",)),
    Need(
        "containernetworking-plugins", tuple(f"/usr/lib/cni/{n}" for n in ("bridge", "host-local", "portmap"))
    ),
    # For the plugin `portmap`.
    Need("iptables", ("iptables",)),
    # For kube-proxy and for what pods send out of the cluster.
    Need("nftables", ("nft",)),
)
# What the pause image and the client image are made of.
IMAGES = (
    Need("busybox-static", ("busybox",)),
    Need("dash", ("dash",)),
    Need("curl", ("curl",)),
    Need("bind9-dnsutils", ("dig", "nslookup")),
    Need("bind9-host", ("host",)),
    Need("netcat-openbsd", ("nc.openbsd",)),
    Need("socat", ("socat",)),
    Need("ca-certificates", ("/etc/ssl/certs/ca-certificates.crt",)),
)
FULL = LIGHT + NODE + IMAGES


def missing_packages(*, light: bool) -> list[str]:
    """Debian packages that a light or a full cluster needs and this machine lacks, sorted."""
    return missing(LIGHT if light else FULL, environment=os.environ)


def missing(needs: Sequence[Need], *, environment: Mapping[str, str]) -> list[str]:
    """The packages of `needs` of which some program is not there, sorted."""
    return sorted(
        need.package
        for need in needs
        if any(find_program(name, environment=environment) is None for name in need.programs)
    )


def find_program(name: str, *, environment: Mapping[str, str]) -> Path | None:
    """Where a program (or, for an absolute path, a file) is: on PATH or in the system's folders."""
    if os.path.isabs(name):
        return Path(name) if Path(name).exists() else None
    path = os.pathsep.join([environment.get("PATH", ""), *_SYSTEM_FOLDERS])
    found = shutil.which(name, path=path)
    return Path(found) if found else None


async def install_packages(names: Sequence[str], *, progress: Progress) -> None:
    """Installs Debian packages with apt; does nothing when `names` is empty.

    Raises MachineFault, with the command to type, when this is not root or not Debian, and
    CommandFault when apt fails.
    """
    if not names:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise MachineFault(
            f"these Debian packages are missing: {' '.join(names)}",
            next_step=f"install them: sudo apt-get install --no-install-recommends {' '.join(names)}",
        )
    log = cache_dir() / "logs" / "apt.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    with progress.step(f"Installing {' '.join(names)}") as step:
        for arguments in (("update",), ("install", "-y", "--no-install-recommends", *names)):
            await _apt(arguments, log=log, on_line=step.update)


async def _apt(arguments: Sequence[str], *, log: Path, on_line: Callable[[str], None]) -> None:
    ended = await run_logged(
        ["apt-get", "-q", "-o", f"DPkg::Lock::Timeout={_DPKG_WAIT}", *arguments],
        folder=Path("/"),
        environment={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        log=log,
        on_line=on_line,
    )
    if ended.code != 0:
        raise CommandFault(f"apt-get {arguments[0]} failed: {ended.last_line}", next_step=f"read {log}")
