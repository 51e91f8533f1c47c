"""What the program is told, by its environment and by flags: what does not read keeps it from starting, with
one line.

| variable | what | default |
|---|---|---|
| `MESHCTL_DNS_TTL` | seconds that an answer or a denial may be kept, 0 to 3600 | 5 |
| `MESHCTL_DNS_LOCAL_NETWORKS` | CIDRs, separated by commas, whose askers count as the cluster's own | none |
| `MESHCTL_DNS_ORDER` | of headless answers: `shuffled`, or `nearest` cluster first | `shuffled` |
| `MESHCTL_DNS_SNAPSHOT` | folder for the last names, for a start without the API server | none is kept |

These are flags too (`--workers 2`), and a flag wins:

| variable | what | default |
|---|---|---|
| `MESHCTL_DNS_WORKERS` | processes that share the port, 1 to 64 | 1 |
| `MESHCTL_DNS_LISTEN_PORT` | where all addresses answer questions over UDP and TCP | 5353 |
| `MESHCTL_DNS_HEALTH_PORT` | where all addresses answer `/healthz`, `/readyz` and `/metrics` | 15480 |

Kubernetes itself gives pods variables for the Service meshctl-dns, `MESHCTL_DNS_PORT` and
`MESHCTL_DNS_SERVICE_...` among them, so no setting has such a name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mesh_core.errors import UserError
from mesh_core.names import DNS_PORT, HEALTH_PORT
from mesh_core.ranges import Ranges, read_ranges
from mesh_dns.wire import LONGEST_TTL, TTL
from mesh_runtime.flags import Flags, port, workers

_PREFIX = "MESHCTL_DNS_"


class UnreadableSetting(UserError):
    """A variable is set to what it cannot be."""

    def __init__(self, name: str, *, text: str, wanted: str) -> None:
        super().__init__(
            f"{name} is {text!r}, which is not {wanted}", next_step="set it to that, or leave it out"
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """`ttl` in seconds; `snapshot` is a folder, None: none is kept. `nearest`: the nearest endpoints
    come first. Of the ports 0 is the kernel's choice, which several workers cannot share. Askers in
    `local_networks` count as the cluster's own."""

    ttl: int = TTL
    nearest: bool = False
    local_networks: Ranges = field(default_factory=Ranges)
    snapshot: Path | None = None
    workers: int = 1
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
    folder = environment.get(_PREFIX + "SNAPSHOT", "")
    return Settings(
        ttl=_ttl(environment),
        nearest=_nearest(environment),
        local_networks=_local_networks(environment),
        snapshot=Path(folder) if folder else None,
        workers=found["workers"],
        listen_port=found["listen_port"],
        health_port=found["health_port"],
    )


def _flags(environment: Mapping[str, str]) -> Flags:
    flags = Flags(
        "mesh_dns",
        environment=environment,
        prefix=_PREFIX,
        description="The DNS server of a cluster for clusterset.local.",
        epilog=f"Each flag is also a variable: --workers is {_PREFIX}WORKERS. More are in dns/README.md.",
    )
    flags.add("workers", workers, default=1, explained="Processes that share the port.")
    flags.add("listen_port", port, default=DNS_PORT, explained="Where all addresses answer questions.")
    explained = "Where all addresses answer /healthz, /readyz and /metrics."
    flags.add("health_port", port, default=HEALTH_PORT, explained=explained)
    return flags


def _nearest(environment: Mapping[str, str]) -> bool:
    name = _PREFIX + "ORDER"
    text = environment.get(name, "") or "shuffled"
    if text not in ("shuffled", "nearest"):
        raise UnreadableSetting(name, text=text, wanted="shuffled or nearest")
    return text == "nearest"


def _ttl(environment: Mapping[str, str]) -> int:
    name = _PREFIX + "TTL"
    text = environment.get(name, "")
    if not text:
        return TTL
    # `int` would take more than a person means by a number: " 5", "+5", "1_000".
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) <= LONGEST_TTL):
        raise UnreadableSetting(name, text=text, wanted=f"a number of seconds from 0 to {LONGEST_TTL}")
    return int(text)


def _local_networks(environment: Mapping[str, str]) -> Ranges:
    name = _PREFIX + "LOCAL_NETWORKS"
    texts = (text.strip() for text in environment.get(name, "").split(","))
    return read_ranges((text for text in texts if text), setting=name)
