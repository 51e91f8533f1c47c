"""What the verbs about one Service take alike."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from mesh_cli.contexts import context_option

F = TypeVar("F", bound=Callable[..., Any])  # Any: commands take what their options say


def namespace_option(function: F) -> F:
    """-n NAMESPACE, `default` without it."""
    return click.option(
        "-n", "--namespace", default="default", show_default=True, help="Namespace of the Service."
    )(function)


def exporter_option(function: F) -> F:
    """--context NAME of the cluster that exports."""
    return context_option("the cluster that exports")(function)
