"""`meshctl clusters taint`."""

from pathlib import Path

import click

from mesh_cli.clusters.tainting import tainted
from mesh_cli.clusters.taints import parse_taint, with_taints
from mesh_cli.contexts import context_option
from mesh_cli.session import run
from mesh_runtime.clock import utc_now


@click.command("taint")
@click.argument("name", metavar="CLUSTER")
@click.argument("taints", metavar="KEY[=VALUE]:EFFECT...", nargs=-1, required=True)
@context_option("the hub")
@click.pass_obj
def command(kubeconfig: Path | None, name: str, taints: tuple[str, ...], context: str | None) -> None:
    """Put taints on CLUSTER, for Placements: NoSchedule keeps new workloads away, PreferNoSchedule where
    others will do, NoExecute moves away those that are there. What no Placement put there stays."""
    added = tuple(map(parse_taint, taints))
    click.echo(
        run(
            tainted(
                kubeconfig,
                context=context,
                name=name,
                change=lambda before: with_taints(before, added=added, now=utc_now()),
            )
        )
    )
