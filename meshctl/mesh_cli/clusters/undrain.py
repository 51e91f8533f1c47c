"""`meshctl clusters undrain`."""

from pathlib import Path

import click

from mesh_cli.clusters.tainting import tainted
from mesh_cli.clusters.taints import DRAIN, without_taints
from mesh_cli.contexts import context_option
from mesh_cli.session import run


@click.command("undrain")
@click.argument("name", metavar="CLUSTER")
@context_option("the hub")
@click.pass_obj
def command(kubeconfig: Path | None, name: str, context: str | None) -> None:
    """Let workloads come to CLUSTER again; what moved away comes back as its Placement says."""
    click.echo(
        run(
            tainted(
                kubeconfig,
                context=context,
                name=name,
                change=lambda before: without_taints(before, removed=((DRAIN.key, None),)),
            )
        )
    )
