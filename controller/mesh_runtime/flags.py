"""Settings of a program: each is a flag and a variable (`--workers 2`, `MESHCTL_DNS_WORKERS=2`).

A flag wins over its variable, a variable over the default. Nothing is guessed: what does not read is an
error of one line, and so is a flag that is shortened or unknown.
"""

import argparse
import math
import re
from collections.abc import Callable, Mapping
from typing import NoReturn

from mesh_core.errors import UserError

_MOST_WORKERS = 64


class Flags(argparse.ArgumentParser):
    """The flags of `python -m <package>`, whose variables in `environment` begin with `prefix`."""

    def __init__(
        self, package: str, *, environment: Mapping[str, str], prefix: str, description: str, epilog: str
    ) -> None:
        super().__init__(
            prog=f"python -m {package}", description=description, epilog=epilog, allow_abbrev=False
        )
        self._environment = environment
        self._prefix = prefix

    def add(
        self,
        name: str,
        read: Callable[[str], object],
        *,
        default: object,
        explained: str,
        shown: str = "",
    ) -> None:
        """The setting `name`. `read` raises argparse.ArgumentTypeError for a text that does not read.

        `shown` is what `--help` calls the value; without it N for a number, else DIR.
        """
        told = self._environment.get(self._prefix + name.upper(), "")
        self.add_argument(
            "--" + name.replace("_", "-"),
            type=read,
            default=told or default,  # argparse reads a text as if it had been given
            metavar=shown or ("N" if isinstance(default, int | float) else "DIR"),
            help=explained.replace("%", "%%") + ("" if default in (None, "") else f" Default: {default}."),
        )

    def error(self, message: str) -> NoReturn:
        """Raises UserError, which names a flag together with its variable: either may be what was set."""
        message = re.sub(r"^argument --([a-z-]+):", self._both_names, message)
        raise UserError(f"a setting does not read: {message}", next_step=f"see {self.prog} --help")

    def _both_names(self, flag: re.Match[str]) -> str:
        return f"--{flag[1]} or {self._prefix}{flag[1].replace('-', '_').upper()}:"


def number(text: str, *, kind: type[int] | type[float], may_be_nought: bool) -> int | float:
    """A finite number above nought, or nought if that may be. Raises argparse.ArgumentTypeError."""
    try:
        found = kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not math.isfinite(found) or found < 0 or (found == 0 and not may_be_nought):
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return found


def workers(text: str) -> int:
    """How many processes share the work. Raises argparse.ArgumentTypeError."""
    count = int(number(text, kind=int, may_be_nought=False))
    if count > _MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"more than {_MOST_WORKERS}")
    return count


def port(text: str) -> int:
    """A port, 0 for the kernel's choice. Raises argparse.ArgumentTypeError."""
    found = int(number(text, kind=int, may_be_nought=True))
    if found > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port")
    return found
