"""`meshctl place`: what a hub would decide about Placements that are not applied yet. Nothing is written."""

from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec
import yaml

from mesh_cli.clusters.one import hub_client
from mesh_cli.contexts import context_option
from mesh_cli.output import Form, output_option, show
from mesh_cli.placement.decisions_render import foreseen_as_json, foreseen_as_text
from mesh_cli.placement.hub_snapshot import HubObjects, read_hub_objects
from mesh_cli.placement.plan_failed import planning
from mesh_cli.placement.what_if import foreseen
from mesh_cli.session import run
from mesh_core.conditions import rfc3339
from mesh_core.errors import UserError
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.objects import Placement
from mesh_placement.resources import PLACEMENTS
from mesh_runtime.clock import utc_now


class NoManifest(UserError):
    """What was given has no Placement in it."""

    def __init__(self, where: str, *, why: str) -> None:
        super().__init__(
            f"{where} has no Placement that could be read: {why}",
            next_step="see docs/placement.md, and kubectl explain placement.spec",
        )


@click.command("place")
@click.option(
    "-f", "--filename", "file", type=click.File("rb"), required=True, help="Manifests; - is standard input."
)
@context_option("the hub")
@click.option(
    "-n", "--namespace", default="default", show_default=True, help="Of Placements that do not name theirs."
)
@output_option
@click.pass_obj
def command(
    kubeconfig: Path | None, file: BinaryIO, context: str | None, namespace: str, output: Form
) -> None:
    """Where the Placements in a file would go, and what keeps them from every other cluster.

    Nothing is applied: the same scheduler decides here, of what the hub knows now. Other kinds in the file
    are passed over. What the API server would refuse tells kubectl apply --dry-run=server.
    """
    wished = placements_in(file.read(), where=file.name, namespace=namespace)
    hub, scheduling, now = run(_read(kubeconfig, context=context)), installed_scheduling(), utc_now()
    with planning():
        found = foreseen(hub, wished, scheduling=scheduling, now=now)
    show(
        output,
        json=lambda: foreseen_as_json(found, at=rfc3339(now)),
        table=lambda: foreseen_as_text(found, now=now.timestamp()),
    )


def placements_in(text: bytes, *, where: str, namespace: str) -> list[Placement]:
    """The Placements of YAML documents, of `namespace` where they name none; raises NoManifest."""
    try:
        documents = [one for one in yaml.safe_load_all(text) if _is_placement(one)]
        found = [msgspec.convert(one, Placement) for one in documents]
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeError) as error:
        raise NoManifest(where, why=" ".join(str(error).split())) from error
    if not found or any(not one.metadata.name for one in found):
        raise NoManifest(where, why="it has no name" if found else "there is none")
    return [_in_namespace(one, namespace) for one in found]


def _is_placement(document: Any) -> bool:  # Any: whatever is in the file
    kind = (PLACEMENTS.api_version, PLACEMENTS.kind)
    return isinstance(document, dict) and (document.get("apiVersion"), document.get("kind")) == kind


def _in_namespace(one: Placement, namespace: str) -> Placement:
    if one.metadata.namespace:
        return one
    return msgspec.structs.replace(one, metadata=msgspec.structs.replace(one.metadata, namespace=namespace))


async def _read(kubeconfig: Path | None, *, context: str | None) -> HubObjects:
    async with hub_client(kubeconfig, context=context) as client:
        return await read_hub_objects(client)
