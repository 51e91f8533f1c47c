"""`meshctl failback`: one Placement goes back, once, where `failover.failback.mode` is Manual."""

from pathlib import Path

import click

from mesh_cli.clusters.one import hub_client, registration
from mesh_cli.contexts import context_option
from mesh_cli.placement.explain_placement import placement_key
from mesh_cli.placement.placements_survey import NoPlacement
from mesh_cli.session import run
from mesh_core.conditions import rfc3339
from mesh_core.errors import UserError
from mesh_placement.names import ANNOTATION_FAILBACK
from mesh_placement.resources import PLACEMENTS
from mesh_runtime.clock import utc_now


class NotByHand(UserError):
    """The Placement goes back by itself, or never."""

    def __init__(self, where: str, *, mode: str) -> None:
        super().__init__(
            f"{where} has failover.failback.mode {mode}, so nobody is asked",
            next_step="set that to Manual; or see meshctl explain placement for why it is where it is",
        )


@click.command("failback")
@click.argument("placement", metavar="NAMESPACE/NAME")
@click.option("--to", "cluster", default="", help="The cluster; by default what suits it best.")
@context_option("the hub")
@click.pass_obj
def command(kubeconfig: Path | None, placement: str, cluster: str, context: str | None) -> None:
    """Let a Placement go back to a cluster that has recovered, once.

    It goes when that cluster has been stable for stabilizeSeconds, and the old copy stays until the new one
    serves. Until then the wish stands; another one takes its place.
    """
    run(_ask(kubeconfig, context=context, key=placement_key(placement), cluster=cluster))
    click.echo(f"{placement}: asked for; see meshctl explain placement {placement}")


async def _ask(kubeconfig: Path | None, *, context: str | None, key: tuple[str, str], cluster: str) -> None:
    namespace, name = key
    async with hub_client(kubeconfig, context=context) as client:
        found = await client.find(PLACEMENTS, name, namespace=namespace)
        if found is None:
            raise NoPlacement(f"{namespace}/{name}")
        mode = found.spec.failover.failback.mode
        if mode != "Manual":
            raise NotByHand(f"{namespace}/{name}", mode=mode)
        if cluster:
            await registration(client, cluster)
        wish = f"{rfc3339(utc_now())} {cluster}".strip()
        body = {"metadata": {"uid": found.metadata.uid, "annotations": {ANNOTATION_FAILBACK: wish}}}
        await client.merge_patch(PLACEMENTS, name, body, namespace=namespace)
