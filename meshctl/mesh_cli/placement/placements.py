"""`meshctl placements`: what is placed, where it is, and what is wrong with it."""

from pathlib import Path

import click

from mesh_cli.contexts import context_option
from mesh_cli.output import Form, output_option, show
from mesh_cli.placement.placements_render import placements_as_json, placements_as_text
from mesh_cli.placement.placements_survey import read_placements
from mesh_cli.session import run
from mesh_core.conditions import rfc3339
from mesh_placement.objects import Placement
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import connect, current_context


@click.command("placements")
@context_option("the hub")
@click.option("-n", "--namespace", default="", help="Of the hub; by default all.")
@output_option
@click.pass_obj
def command(kubeconfig: Path | None, context: str | None, namespace: str, output: Form) -> None:
    """The Placements of a hub: where each is, and below what is wrong."""
    found = run(_read(kubeconfig, context=context, namespace=namespace))
    at = rfc3339(utc_now())
    show(
        output,
        json=lambda: placements_as_json(found, at=at),
        table=lambda: placements_as_text(found, at=at),
    )


async def _read(kubeconfig: Path | None, *, context: str | None, namespace: str) -> list[Placement]:
    chosen = context or current_context(kubeconfig=kubeconfig)
    async with connect(kubeconfig=kubeconfig, context=chosen) as client:
        return await read_placements(client, context=chosen, namespace=namespace)
