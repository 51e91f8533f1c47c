"""`meshctl clusters drain`: what is placed there moves away, and nothing new comes, until `undrain`."""

from pathlib import Path

import click

from mesh_cli.cluster_taints import DRAIN, with_taints
from mesh_cli.clusters_tainting import tainted
from mesh_cli.session import run


@click.command("drain")
@click.argument("name", metavar="CLUSTER")
@click.option("--context", help="Kubeconfig context of the hub; by default the current one.")
@click.pass_obj
def command(kubeconfig: Path | None, name: str, context: str | None) -> None:
    """Move workloads away from CLUSTER, and give it no new ones; it stays registered."""
    click.echo(
        run(
            tainted(
                kubeconfig,
                context=context,
                name=name,
                change=lambda before: with_taints(before, added=(DRAIN,)),
            )
        )
    )
