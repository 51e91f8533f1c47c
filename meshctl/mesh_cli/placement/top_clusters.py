"""`meshctl top clusters`: the room in each cluster as the scheduler counts it."""

from pathlib import Path

import click

from mesh_cli.clusters.one import hub_client
from mesh_cli.contexts import context_option
from mesh_cli.output import Form, output_option, show
from mesh_cli.placement.hub_snapshot import HubObjects, hub_snapshot, read_hub_objects
from mesh_cli.placement.top_render import room_as_json, room_as_text
from mesh_cli.session import run
from mesh_core.conditions import rfc3339
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_runtime.clock import utc_now


@click.command("clusters")
@context_option("the hub")
@output_option
@click.pass_obj
def command(kubeconfig: Path | None, context: str | None, output: Form) -> None:
    """The room in each cluster: in all, available, the most on one node, and reserved.

    Reserved is what was decided and does not show in what is available yet.
    """
    hub, now = run(_read(kubeconfig, context=context)), utc_now()
    snapshot = hub_snapshot(hub, scheduling=installed_scheduling(), now=now)
    show(
        output,
        json=lambda: room_as_json(snapshot, at=rfc3339(now)),
        table=lambda: room_as_text(snapshot),
    )


async def _read(kubeconfig: Path | None, *, context: str | None) -> HubObjects:
    async with hub_client(kubeconfig, context=context) as client:
        return await read_hub_objects(client)
