"""`meshctl clusters drain`: Placements keep away from there, until `undrain`."""

from pathlib import Path

import click

from mesh_cli.clusters.tainting import tainted
from mesh_cli.clusters.taints import DRAIN, with_taints
from mesh_cli.contexts import context_option
from mesh_cli.session import run
from mesh_runtime.clock import utc_now


@click.command("drain")
@click.argument("name", metavar="CLUSTER")
@context_option("the hub")
@click.pass_obj
def command(kubeconfig: Path | None, name: str, context: str | None) -> None:
    """Have Placements move away from CLUSTER and send nothing new there; it stays registered.

    It is a taint, which acts on Placements alone: Works and Assignments of others stay, and so do its pods.
    """
    click.echo(
        run(
            tainted(
                kubeconfig,
                context=context,
                name=name,
                change=lambda before: with_taints(before, added=(DRAIN,), now=utc_now()),
            )
        )
    )
