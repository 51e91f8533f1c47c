"""--timeout, alike for all commands that wait."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])  # Any: commands take what their options say


def timeout_option(what: str, *, default: float) -> Callable[[F], F]:
    """--timeout SECONDS, more than none; `what` is the help."""
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=default,
        show_default=True,
        metavar="SECONDS",
        help=what,
    )
