"""`meshctl clusters untaint`."""

from pathlib import Path

import click

from mesh_cli.clusters.tainting import tainted
from mesh_cli.clusters.taints import parse_removal, without_taints
from mesh_cli.session import run


@click.command("untaint")
@click.argument("name", metavar="CLUSTER")
@click.argument("taints", metavar="KEY[:EFFECT]...", nargs=-1, required=True)
@click.option("--context", help="Kubeconfig context of the hub; by default the current one.")
@click.pass_obj
def command(kubeconfig: Path | None, name: str, taints: tuple[str, ...], context: str | None) -> None:
    """Take taints off CLUSTER; those that the hub itself puts on go by themselves."""
    removed = tuple(map(parse_removal, taints))
    click.echo(
        run(
            tainted(
                kubeconfig,
                context=context,
                name=name,
                change=lambda before: without_taints(before, removed=removed),
            )
        )
    )
