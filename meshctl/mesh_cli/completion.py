"""`meshctl completion SHELL`, and what kubectl asks when somebody types `kubectl mesh` and Tab.

kubectl calls the program `kubectl_complete-mesh` with the words after `mesh`, the last of them as far as it
is typed, and reads a line for each proposal and a directive in the last line, as Cobra's hidden command
__complete prints them (https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins).
"""

import sys
from collections.abc import Sequence
from enum import IntEnum

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from mesh_cli.called import COMPLETE_VARIABLE, PROGRAM


class Directive(IntEnum):
    """What the shell does with the proposals (Cobra's ShellCompDirective)."""

    FILES = 0
    NO_FILES = 4
    FOLDERS = 16


@click.command(
    "completion", epilog="bash: source <(meshctl completion bash). fish: meshctl completion fish | source."
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script by which a shell completes verbs, options and contexts.

    For kubectl mesh none is needed: kubectl's own completion asks kubectl_complete-mesh, which was installed
    beside meshctl.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    root = ctx.find_root().command
    click.echo(kind(root, {}, PROGRAM, COMPLETE_VARIABLE).source())


def proposals(root: click.Command, words: Sequence[str]) -> str:
    """What kubectl is told of `words`, of which the last one is being typed."""
    *typed, incomplete = words or ("",)
    found = ShellComplete(root, {}, PROGRAM, COMPLETE_VARIABLE).get_completions(list(typed), incomplete)
    kinds = {item.type for item in found}
    directive = Directive.NO_FILES
    if "dir" in kinds:
        directive = Directive.FOLDERS
    elif "file" in kinds:
        directive = Directive.FILES
    lines = [_line(item) for item in found if item.type == "plain"]
    return "\n".join([*lines, f":{directive.value}"])


def _line(item: CompletionItem) -> str:
    return f"{item.value}\t{' '.join(item.help.split())}" if item.help else str(item.value)


def kubectl_complete() -> None:
    """The program `kubectl_complete-mesh`."""
    from mesh_cli.main import command as root

    click.echo(proposals(root, sys.argv[1:]))
