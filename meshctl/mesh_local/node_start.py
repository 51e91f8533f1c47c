"""The script that turns fresh namespaces into a node and stays as its first process: pure.

It runs inside new network, mount and PID namespaces. Paths that are fixed in containerd, kubelet and
the CNI plugins lie below /run, /var/lib and /var/log; there the node gets file systems of its own, so
that nodes share nothing and the host sees nothing. What must be seen through them (the set's folder,
programs that happen to lie there) is opened before and bound again after. The data that should outlast
the node's first process comes from the node's folder.

Laws:
1. The script says `ready` only when everything was done, `failed` otherwise.
2. Killing its process ends everything in the node; it reaps what is orphaned.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mesh_local.layout import NodeFiles
from mesh_local.node_config import CONTAINERD_SOCKET

READY = "ready"
FAILED = "failed"

_PRIVATE = (Path("/run"), Path("/var/lib"), Path("/var/log"))

# The first descriptor that the script may use for folders that it keeps.
_FIRST_DESCRIPTOR = 10


@dataclass(frozen=True, slots=True)
class Needs:
    """What must be seen inside a node: the set's folder, and the folders of the programs."""

    folder: Path
    programs: Sequence[Path]

    def hidden(self) -> list[Path]:
        """Those that the private file systems would hide, outermost first, none below another."""
        kept: list[Path] = []
        for path in sorted({self.folder, *self.programs}):
            covered = any(path.is_relative_to(private) for private in _PRIVATE)
            if covered and not any(path.is_relative_to(other) for other in kept):
                kept.append(path)
        return kept


def start_script(files: NodeFiles, *, needs: Needs, light: bool) -> str:
    """Bash; `light` leaves out what only pods need."""
    started = shlex.quote(str(files.started))
    return "\n".join(
        [
            "set -eu",
            f"trap {shlex.quote(f'echo {FAILED} >{started}')} EXIT",
            *_private_file_systems(needs.hidden()),
            *([] if light else _ground_for_pods(files)),
            "trap - EXIT",
            f"echo {READY} >{started}",
            # An open log would keep whoever reads it waiting for ever.
            "exec </dev/null >/dev/null 2>&1",
            'while :; do sleep infinity & wait "$!"; done',
            "",
        ]
    )


def _private_file_systems(hidden: Sequence[Path]) -> list[str]:
    lines = [
        f"exec {number}<{shlex.quote(str(path))}"
        for number, path in enumerate(hidden, start=_FIRST_DESCRIPTOR)
    ]
    lines += [f"mount -t tmpfs -o mode=755 tmpfs {private}" for private in _PRIVATE]
    for number, path in enumerate(hidden, start=_FIRST_DESCRIPTOR):
        target = shlex.quote(str(path))
        # Not canonicalized: the link's text is a path that is covered by now, what it leads to is not.
        lines.append(f"mkdir -p {target}")
        lines.append(f"mount --no-canonicalize --bind /proc/self/fd/{number} {target}")
        lines.append(f"exec {number}<&-")
    return lines


def _ground_for_pods(files: NodeFiles) -> list[str]:
    lines = []
    for source, target in (
        (files.containerd_data, "/var/lib/containerd"),
        (files.kubelet_data, "/var/lib/kubelet"),
        (files.pod_logs, "/var/log/pods"),
    ):
        lines.append(f"mkdir -p {target}")
        lines.append(f"mount --bind {shlex.quote(str(source))} {target}")
    lines += [
        f"mkdir -p {Path(CONTAINERD_SOCKET).parent} /var/lib/cni /var/log/containers",
        "echo 1 >/proc/sys/net/ipv4/ip_forward",
        # NodePorts and host ports answer on the node's loopback address too.
        "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet",
        # Otherwise answers between pods of one bridge pass conntrack by, and Services break.
        "echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables",
        f"nft -f {shlex.quote(str(files.masquerade))}",
    ]
    return lines
