"""--context, alike for every verb: one kubeconfig context or several, and their names on the Tab key."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])  # Any: commands take what their options say


def context_option(of: str = "the cluster") -> Callable[[F], F]:
    """--context NAME, None when it is not given; `of` is whose context it is."""
    return click.option(
        "--context",
        metavar="NAME",
        shell_complete=complete_context,
        help=f"Kubeconfig context of {of}; by default the current one.",
    )


def contexts_option(
    what: str = "Kubeconfig context; may be given several times.", *, required: bool = False
) -> Callable[[F], F]:
    """--context NAME, several times, as the parameter `contexts`; `what` is the help."""
    return click.option(
        "--context",
        "contexts",
        metavar="NAME",
        multiple=True,
        required=required,
        shell_complete=complete_context,
        help=what,
    )


def complete_context(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Contexts of the kubeconfig of the command line; none where it cannot be read: Tab explains nothing."""
    # Here, because only the Tab key pays for it.
    from mesh_runtime.kube import KubeconfigError, context_names

    kubeconfig = context.find_root().params.get("kubeconfig")
    try:
        names = context_names(kubeconfig=Path(kubeconfig) if kubeconfig else None)
    except KubeconfigError:
        return []
    return [name for name in names if name.startswith(incomplete)]
