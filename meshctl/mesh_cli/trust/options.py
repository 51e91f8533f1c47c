"""Options that the verbs of `meshctl trust` and others share, and how they print objects."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
import yaml

from mesh_cli.contexts import contexts_option
from mesh_core.errors import UserError
from mesh_runtime.kube import TRUST_BUNDLES

F = TypeVar("F", bound=Callable[..., Any])  # Any: whatever a command takes and gives


class DryRunOnly(UserError):
    """An output that makes sense for objects that are only shown."""

    def __init__(self) -> None:
        super().__init__("-o yaml prints what would be written", next_step="give --dry-run too")


def trust_option(*, required: bool = True) -> Callable[[F], F]:
    """--trust DIR."""
    return click.option(
        "--trust",
        "trust_folder",
        required=required,
        type=click.Path(path_type=Path),
        help="Folder that meshctl trust init made.",
    )


def told_option(*, required: bool = False) -> Callable[[F], F]:
    """--context NAME, several times: the members that are told."""
    return contexts_option(
        "Kubeconfig context of a member that is told; may be given several times. The others hear it "
        "from their peers.",
        required=required,
    )


def dry_run_options(function: F) -> F:
    """--dry-run and -o yaml."""
    function = click.option(
        "-o", "--output", type=click.Choice(["yaml"]), help="With --dry-run: the objects, for GitOps."
    )(function)
    return click.option(
        "--dry-run", is_flag=True, help="Write nothing, neither into the folder nor into a cluster."
    )(function)


def printing_options(what: str) -> Callable[[F], F]:
    """--dry-run and -o yaml of a command that prints objects and nothing else; `what` is the help."""

    def with_options(function: F) -> F:
        function = click.option("-o", "--output", type=click.Choice(["yaml"]), help="Form of --dry-run.")(
            function
        )
        return click.option("--dry-run", is_flag=True, help=what)(function)

    return with_options


def check_output(*, dry_run: bool, output: str | None) -> None:
    """Raises DryRunOnly for an output of what is written anyway."""
    if output is not None and not dry_run:
        raise DryRunOnly()


def as_yaml(bodies: Iterable[Mapping[str, Any]]) -> str:
    """TrustBundles as `kubectl apply` takes them, each once."""
    head = {"apiVersion": TRUST_BUNDLES.api_version, "kind": TRUST_BUNDLES.kind}
    texts = [yaml.safe_dump({**head, **body}, sort_keys=False, width=1_000_000) for body in bodies]
    return "---\n".join(dict.fromkeys(texts))
