"""`meshctl clusters untaint`."""

from pathlib import Path

import click

from mesh_cli.clusters.tainting import tainted
from mesh_cli.clusters.taints import parse_removal, without_taints
from mesh_cli.contexts import context_option
from mesh_cli.session import run


@click.command("untaint")
@click.argument("name", metavar="CLUSTER")
@click.argument("taints", metavar="KEY[:EFFECT]...", nargs=-1, required=True)
@context_option("the hub")
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
