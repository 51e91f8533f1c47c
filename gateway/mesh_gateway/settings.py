"""What the program is told: by flags, else by the environment, else the defaults.

Each field of `Limits` is a flag and a variable (`--connections 8192`, `MESHCTL_GATEWAY_CONNECTIONS=8192`),
and so are the settings below. A flag wins over its variable. Nothing is guessed: what does not read ends
the program with one line.
"""

import argparse
import ast
import inspect
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import NoReturn

from mesh_core.errors import UserError
from mesh_core.names import DEBUG_PORT, HEALTH_PORT
from mesh_gateway.limits import Limits, contradiction
from mesh_gateway.ranges import Ranges, read_ranges

_MOST_WORKERS = 64
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
    parser = _parser(environment)
    found = vars(parser.parse_args(arguments))
    limits = Limits(**{item.name: found[item.name] for item in fields(Limits)})
    if why := contradiction(limits):
        parser.error(why)
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


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"a setting does not read: {message}", next_step="see python -m mesh_gateway --help")


def _parser(environment: Mapping[str, str]) -> _Parser:
    parser = _Parser(
        prog="python -m mesh_gateway",
        description="The gateway of a cluster. POD_IP is the one address that it listens on.",
        epilog=f"Each flag is also a variable: --connections is {_PREFIX}CONNECTIONS.",
        allow_abbrev=False,
    )
    add = partial(_add, parser, environment)
    add("workers", _workers, 1, "Processes that share the ports; each has the limits below for itself.")
    add("access_log", _share, 0.0, "Share of streams whose end is logged, 0 to 1.")
    add("snapshot", Path, None, "Folder for the last good routes, for a start without the API server.")
    add("health_port", _port, HEALTH_PORT, "Where all addresses answer /healthz, /readyz and /metrics.")
    add(
        "debug_port", _port, DEBUG_PORT, "Where the loopback answers /debug/routes; of a worker so many more."
    )
    parser.add_argument(
        "--allow-external",
        action="append",
        metavar="CIDR",
        help="Networks outside the cluster that may be dialled for an export; several times, or by commas.",
    )
    helps = _helps()
    for name in (item.name for item in fields(Limits)):
        # A field has a number for its default, which says what numbers it takes.
        number: int | float = getattr(Limits(), name)
        read = partial(_number, kind=type(number), may_be_nought=name in _MAY_BE_NOUGHT)
        add(name, read, number, helps.get(name, ""))
    return parser


def _add(
    parser: argparse.ArgumentParser,
    environment: Mapping[str, str],
    name: str,
    read: Callable[[str], object],
    default: object,
    explained: str,
) -> None:
    told = environment.get(_PREFIX + name.upper(), "")
    parser.add_argument(
        "--" + name.replace("_", "-"),
        type=read,
        default=told or default,  # argparse reads a text as if it had been given
        metavar="N" if isinstance(default, int | float) else "DIR",
        help=explained.replace("%", "%%") + ("" if default is None else f" Default: {default}."),
    )


def _number(text: str, *, kind: type[int] | type[float], may_be_nought: bool) -> int | float:
    try:
        number = kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not math.isfinite(number) or number < 0 or (number == 0 and not may_be_nought):
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def _workers(text: str) -> int:
    number = int(_number(text, kind=int, may_be_nought=False))
    if number > _MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"more than {_MOST_WORKERS}")
    return number


def _port(text: str) -> int:
    number = int(_number(text, kind=int, may_be_nought=True))
    if number > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port")
    return number


def _share(text: str) -> float:
    number = _number(text, kind=float, may_be_nought=True)
    if number > 1:
        raise argparse.ArgumentTypeError(f"{text} is no share from 0 to 1")
    return float(number)


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
