"""From a click command, which is not async, into our asynchronous work."""

import asyncio
import logging
import shlex
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from mesh_cli.called import PLUGIN, PROGRAM

R = TypeVar("R")

FIELD_MANAGER = "meshctl"
"""Owner of the fields that a person's command applies (server-side apply)."""


def run(work: Coroutine[Any, Any, R]) -> R:  # Any: the coroutine's send and yield types are asyncio's
    """Run `work` to its end and give its result; errors pass through as they are.

    What the runtime logs is for pods; a person reads progress and one error line, so here it is dropped.
    """
    logging.getLogger().addHandler(logging.NullHandler())
    return asyncio.run(work)


def command_line(kubeconfig: Path | None, *words: str) -> str:
    """A command of ours to be typed next, with the kubeconfig that this one was given."""
    files = () if kubeconfig is None else ("--kubeconfig", str(kubeconfig))
    context = click.get_current_context(silent=True)
    called = context.find_root().info_name if context is not None else None
    return f"{PLUGIN if called == PLUGIN else PROGRAM} {shlex.join((*files, *words))}"
