"""What the program is told: by flags, else by the environment, else the defaults.

Each field of `Limits` is a flag and a variable (`--connections 8192`, `MESHCTL_GATEWAY_CONNECTIONS=8192`),
and so are the settings below. A flag wins over its variable. Nothing is guessed: what does not read ends
the program with one line.
"""

import argparse
import ast
import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path

from mesh_core.names import DEBUG_PORT, HEALTH_PORT
from mesh_core.ranges import Ranges, read_ranges
from mesh_gateway.limits import Limits, contradiction
from mesh_gateway.route import Address
from mesh_runtime.flags import Flags, number, port, workers

_MAY_BE_NOUGHT = frozenset({"farewell", "unlisting", "settle", "drain", "hold"})
_PREFIX = "MESHCTL_GATEWAY_"


@dataclass(frozen=True, slots=True)
class Settings:
    """`access_log` is the share of streams whose end is logged, 0 to 1. `external` are the networks outside
    the cluster that may be dialled for an export (ruling 28). `snapshot` is a folder, None: none is kept.
    Of the ports 0 is the kernel's choice; workers have theirs for debugging from `debug_port` on."""

    limits: Limits = field(default_factory=Limits)
    workers: int = 1
    access_log: float = 0.0
    external: Ranges = field(default_factory=Ranges)
    snapshot: Path | None = None
    health_port: int = HEALTH_PORT
    debug_port: int = DEBUG_PORT


def settings_of(arguments: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings in `arguments`, without the program's name. Raises UserError.

    `--help` prints, and raises SystemExit.
    """
    environment = os.environ if environment is None else environment
    flags = _flags(environment)
    found = vars(flags.parse_args(arguments))
    limits = Limits(**{item.name: found[item.name] for item in fields(Limits)})
    if why := contradiction(limits):
        flags.error(why)
    # argparse would add to a default: what the flag says replaces what the variable says.
    texts = found["allow_external"] or [environment.get(_PREFIX + "ALLOW_EXTERNAL", "")]
    external = [text.strip() for listed in texts for text in listed.split(",") if text.strip()]
    return Settings(
        limits=limits,
        workers=found["workers"],
        access_log=found["access_log"],
        external=read_ranges(external, setting="--allow-external"),
        snapshot=found["snapshot"],
        health_port=found["health_port"],
        debug_port=found["debug_port"],
    )


def own_api_server(environment: Mapping[str, str]) -> tuple[Address, ...]:
    """Where this cluster's API server answers, as kubelet tells every pod; empty where it does not.

    Nothing else says it: whoever may write Services or slices leads nobody there.
    """
    host = environment.get("KUBERNETES_SERVICE_HOST", "")
    number = environment.get("KUBERNETES_SERVICE_PORT", "")
    is_port = number.isascii() and number.isdecimal() and 1 <= int(number) <= 65535
    return (Address(host, int(number)),) if host and is_port else ()


def _flags(environment: Mapping[str, str]) -> Flags:
    flags = Flags(
        "mesh_gateway",
        environment=environment,
        prefix=_PREFIX,
        description="The gateway of a cluster. POD_IP is the one address that it listens on.",
        epilog=f"Each flag is also a variable: --connections is {_PREFIX}CONNECTIONS.",
    )
    add = flags.add
    add(
        "workers",
        workers,
        default=1,
        explained="Processes that share the ports; each has the limits below for itself.",
    )
    add("access_log", _share, default=0.0, explained="Share of streams whose end is logged, 0 to 1.")
    add(
        "snapshot",
        Path,
        default=None,
        explained="Folder for the last good routes, for a start without the API server.",
    )
    add(
        "health_port",
        port,
        default=HEALTH_PORT,
        explained="Where all addresses answer /healthz, /readyz and /metrics.",
    )
    add(
        "debug_port",
        port,
        default=DEBUG_PORT,
        explained="Where the loopback answers /debug/routes; of a worker so many more.",
    )
    flags.add_argument(
        "--allow-external",
        action="append",
        metavar="CIDR",
        help="Networks outside the cluster that may be dialled for an export; several times, or by commas.",
    )
    helps = _helps()
    for name in (item.name for item in fields(Limits)):
        # A field has a number for its default, which says what numbers it takes.
        default: int | float = getattr(Limits(), name)
        read = partial(number, kind=type(default), may_be_nought=name in _MAY_BE_NOUGHT)
        add(name, read, default=default, explained=helps.get(name, ""))
    return flags


def _share(text: str) -> float:
    share = number(text, kind=float, may_be_nought=True)
    if share > 1:
        raise argparse.ArgumentTypeError(f"{text} is no share from 0 to 1")
    return float(share)


def _helps() -> dict[str, str]:
    """The text below each field of `Limits`; without its source there is none."""
    try:
        body = ast.parse(inspect.getsource(Limits)).body[0]
    except OSError:
        return {}
    found: dict[str, str] = {}
    name = ""
    for node in body.body if isinstance(body, ast.ClassDef) else ():
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and name:
            found[name] = " ".join(str(node.value.value).split())
    return found
