"""`meshctl placements`: what is placed, where it is, and what is wrong with it."""

from pathlib import Path

import click

from mesh_cli.placement.placements_render import placements_as_json, placements_as_text
from mesh_cli.placement.placements_survey import read_placements
from mesh_cli.session import run
from mesh_core.conditions import rfc3339
from mesh_placement.objects import Placement
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import connect, current_context


@click.command("placements")
@click.option("--context", help="Kubeconfig context of the hub; by default the current one.")
@click.option("-n", "--namespace", default="", help="Of the hub; by default all.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people, or for programs.",
)
@click.pass_obj
def command(kubeconfig: Path | None, context: str | None, namespace: str, output: str) -> None:
    """The Placements of a hub: where each is, and below what is wrong."""
    found = run(_read(kubeconfig, context=context, namespace=namespace))
    show = placements_as_json if output == "json" else placements_as_text
    click.echo(show(found, at=rfc3339(utc_now())), nl=False)


async def _read(kubeconfig: Path | None, *, context: str | None, namespace: str) -> list[Placement]:
    chosen = context or current_context(kubeconfig=kubeconfig)
    async with connect(kubeconfig=kubeconfig, context=chosen) as client:
        return await read_placements(client, context=chosen, namespace=namespace)
