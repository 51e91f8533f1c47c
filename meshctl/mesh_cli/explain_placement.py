"""`meshctl explain placement`: what was decided of each cluster, out of the stored Report."""

from pathlib import Path

import click

from mesh_cli.clusters_one import hub_client
from mesh_cli.placements_render import explained_as_json, explained_as_text
from mesh_cli.placements_survey import Explained, read_explained
from mesh_cli.session import run
from mesh_core.conditions import rfc3339
from mesh_core.errors import UserError
from mesh_core.identity import cluster_id
from mesh_runtime.clock import utc_now


@click.command("placement")
@click.argument("placement", metavar="NAMESPACE/NAME")
@click.option("--context", help="Kubeconfig context of the hub; by default the current one.")
@click.option("--cluster", default="", metavar="CLUSTER", help="Of this cluster alone, in full.")
@click.option("--why-moved", is_flag=True, help="The last moves too, and what caused them.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people, or for programs.",
)
@click.pass_obj
def command(
    kubeconfig: Path | None, placement: str, context: str | None, cluster: str, why_moved: bool, output: str
) -> None:
    """Why PLACEMENT is where it is, and what keeps it from every other cluster."""
    namespace, name = placement_key(placement)
    chosen = cluster_id(cluster) if cluster else ""
    found = run(_read(kubeconfig, context=context, namespace=namespace, name=name))
    at = rfc3339(utc_now())
    text = (
        explained_as_json(found, cluster=chosen, at=at)
        if output == "json"
        else explained_as_text(found, cluster=chosen, why_moved=why_moved, at=at)
    )
    click.echo(text, nl=False)


def placement_key(text: str) -> tuple[str, str]:
    """Namespace and name; raises UserError for a text that is not both."""
    namespace, _, name = text.partition("/")
    if not namespace or not name or "/" in name:
        raise UserError(f"{text!r} is no Placement", next_step="write it as namespace/name")
    return namespace, name


async def _read(kubeconfig: Path | None, *, context: str | None, namespace: str, name: str) -> Explained:
    async with hub_client(kubeconfig, context=context) as client:
        return await read_explained(client, namespace=namespace, name=name)
