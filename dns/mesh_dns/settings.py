"""What the program is told, by its environment and by flags: what does not read keeps it from starting, with
one line.

Each setting is a variable and a flag (`MESHCTL_DNS_WORKERS=2`, `--workers 2`), and a flag wins. The list is
in `dns/README.md`.

Kubernetes itself gives pods variables for the Service meshctl-dns, `MESHCTL_DNS_PORT` and
`MESHCTL_DNS_SERVICE_...` among them, so no setting has such a name.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mesh_core.names import DNS_PORT, HEALTH_PORT
from mesh_core.ranges import Ranges, read_ranges
from mesh_dns.wire import LONGEST_TTL, TTL
from mesh_runtime.flags import Flags, number, port, workers

_PREFIX = "MESHCTL_DNS_"
_LOCAL_NETWORKS = f"--local-networks or {_PREFIX}LOCAL_NETWORKS"
LINGER = 15.0
"""Seconds. Cluster DNS asks over sockets that it keeps, and the nodes' connection tracking holds each of them
to one pod. kube-proxy forgets that when the pod is no longer `serving`: its readiness probe has failed three
times, 2 s apart. On a busy node that takes some seconds more. A pod has 25 in all (manifests/dns)."""
_SHUFFLED, _NEAREST = "shuffled", "nearest"


@dataclass(frozen=True, slots=True)
class Settings:
    """`ttl` in seconds; `snapshot` is a folder, None: none is kept. `nearest`: the nearest endpoints
    come first. `linger` is for how many seconds it answers after it was told to stop. Of the ports 0 is the
    kernel's choice, which several workers cannot share. Askers in `local_networks` count as the cluster's.
    """

    ttl: int = TTL
    nearest: bool = False
    local_networks: Ranges = field(default_factory=Ranges)
    snapshot: Path | None = None
    workers: int = 1
    linger: float = LINGER
    listen_port: int = DNS_PORT
    health_port: int = HEALTH_PORT


def settings_of(environment: Mapping[str, str], *, arguments: Sequence[str] = ()) -> Settings:
    """The settings in `environment` and in `arguments`, without the program's name.

    A variable that is empty counts as not set. Raises UserError; `--help` prints, and raises SystemExit.
    """
    flags = _flags(environment)
    found = vars(flags.parse_args(arguments))
    if found["workers"] > 1 and not found["listen_port"]:
        flags.error("--listen-port 0 is no port that several workers could share")
    return Settings(
        ttl=found["ttl"],
        nearest=found["order"] == _NEAREST,
        local_networks=found["local_networks"],
        snapshot=found["snapshot"],
        workers=found["workers"],
        linger=found["linger"],
        listen_port=found["listen_port"],
        health_port=found["health_port"],
    )


def _flags(environment: Mapping[str, str]) -> Flags:
    flags = Flags(
        "mesh_dns",
        environment=environment,
        prefix=_PREFIX,
        description="The DNS server of a cluster for clusterset.local.",
        epilog=f"Each flag is also a variable: --workers is {_PREFIX}WORKERS.",
    )
    explained = f"Seconds that an answer or a denial may be kept, 0 to {LONGEST_TTL}."
    flags.add("ttl", _ttl, default=TTL, explained=explained)
    explained = f"Of headless answers: {_SHUFFLED}, or the {_NEAREST} cluster first."
    flags.add("order", _order, default=_SHUFFLED, explained=explained, shown="ORDER")
    explained = "Networks whose askers count as the cluster's own, separated by commas."
    flags.add("local_networks", _networks, default="", explained=explained, shown="CIDRS")
    explained = "Folder for the last names, for a start without the API server."
    flags.add("snapshot", Path, default=None, explained=explained)
    flags.add("workers", workers, default=1, explained="Processes that share the port.")
    explained = "Seconds that it answers after it was told to stop."
    flags.add("linger", _linger, default=LINGER, explained=explained)
    flags.add("listen_port", port, default=DNS_PORT, explained="Where all addresses answer questions.")
    explained = "Where all addresses answer /healthz, /readyz and /metrics."
    flags.add("health_port", port, default=HEALTH_PORT, explained=explained)
    return flags


def _ttl(text: str) -> int:
    # `int` would take more than a person means by a number: " 5", "+5", "1_000".
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) <= LONGEST_TTL):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 to {LONGEST_TTL}")
    return int(text)


def _linger(text: str) -> float:
    return float(number(text, kind=float, may_be_nought=True))


def _order(text: str) -> str:
    if text not in (_SHUFFLED, _NEAREST):
        raise argparse.ArgumentTypeError(f"{text!r} is not {_SHUFFLED} or {_NEAREST}")
    return text


def _networks(text: str) -> Ranges:
    parts = (part.strip() for part in text.split(","))
    return read_ranges((part for part in parts if part), setting=_LOCAL_NETWORKS)
