"""`meshctl explain placement`: what was decided of each cluster, out of the stored Report.

What would be decided otherwise says the scheduler itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from mesh_cli.clusters.one import hub_client
from mesh_cli.contexts import context_option
from mesh_cli.output import Answer, Form, output_option, show
from mesh_cli.own_file import put_own_file
from mesh_cli.placement.decisions_render import what_if_as_json, what_if_as_text
from mesh_cli.placement.hub_snapshot import hub_snapshot, read_hub_objects
from mesh_cli.placement.placements_render import explained_as_json, explained_as_text
from mesh_cli.placement.placements_survey import Explained, read_explained
from mesh_cli.placement.plan_failed import planning
from mesh_cli.placement.what_if import what_if
from mesh_cli.session import run
from mesh_core.conditions import rfc3339
from mesh_core.errors import UserError
from mesh_core.identity import cluster_id
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.schedule.replay import recorded
from mesh_placement.schedule.snapshot import Snapshot
from mesh_placement.schedule.what_if import FORMS
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import KubeClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The command line."""

    key: tuple[str, str]
    cluster: str
    why_moved: bool
    changes: Sequence[str]
    capture: Path | None


@click.command("placement", epilog=f"A CHANGE is one of: {'; '.join(FORMS)}.")
@click.argument("placement", metavar="NAMESPACE/NAME")
@context_option("the hub")
@click.option("--cluster", default="", metavar="CLUSTER", help="Of this cluster alone, in full.")
@click.option("--why-moved", is_flag=True, help="The last moves too, and what caused them.")
@click.option(
    "--what-if",
    "changes",
    multiple=True,
    metavar="CHANGE",
    help="What the scheduler would decide after CHANGE ('link a->b down'); may be given again.",
)
@click.option(
    "--capture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write what the scheduler sees and decides into FILE, for meshctl explain --replay.",
)
@output_option
@click.pass_obj
def command(
    kubeconfig: Path | None,
    placement: str,
    context: str | None,
    cluster: str,
    why_moved: bool,
    changes: tuple[str, ...],
    capture: Path | None,
    output: Form,
) -> None:
    """Why PLACEMENT is where it is, and what keeps it from every other cluster.

    With --what-if: what would be decided otherwise. Nothing is changed on the hub.
    """
    if changes and why_moved:
        raise click.UsageError("--why-moved is about what was, --what-if about what would be")
    asked = Asked(
        key=placement_key(placement),
        cluster=cluster_id(cluster) if cluster else "",
        why_moved=why_moved,
        changes=changes,
        capture=capture,
    )
    answer = run(_answer(kubeconfig, context=context, asked=asked))
    show(output, json=answer.json, table=answer.table)


def placement_key(text: str) -> tuple[str, str]:
    """Namespace and name; raises UserError for a text that is not both."""
    namespace, _, name = text.partition("/")
    if not namespace or not name or "/" in name:
        raise UserError(f"{text!r} is no Placement", next_step="write it as namespace/name")
    return namespace, name


async def _answer(kubeconfig: Path | None, *, context: str | None, asked: Asked) -> Answer:
    async with hub_client(kubeconfig, context=context) as client:
        found = await read_explained(client, namespace=asked.key[0], name=asked.key[1])
        if asked.capture is None and not asked.changes:
            return _as_stored(found, asked)
        return await _as_scheduled(client, found, asked)


def _as_stored(found: Explained, asked: Asked) -> Answer:
    at = rfc3339(utc_now())
    return Answer(
        json=lambda: explained_as_json(found, cluster=asked.cluster, at=at),
        table=lambda: explained_as_text(found, cluster=asked.cluster, why_moved=asked.why_moved, at=at),
    )


async def _as_scheduled(client: KubeClient, found: Explained, asked: Asked) -> Answer:
    scheduling, now = installed_scheduling(), utc_now()
    snapshot = hub_snapshot(await read_hub_objects(client), scheduling=scheduling, now=now)
    if asked.capture is not None:
        with planning():
            plan = scheduling.schedule(snapshot)
        put_own_file(asked.capture, recorded(snapshot, plan))
        click.echo(_captured(asked.capture, snapshot), err=True)
    if not asked.changes:
        return _as_stored(found, asked)
    name = "/".join(asked.key)
    with planning():
        answer = what_if(snapshot, asked.changes, placement=name, schedule=scheduling.schedule)
    return Answer(
        json=lambda: what_if_as_json(answer, at=rfc3339(now)),
        table=lambda: what_if_as_text(answer, cluster=asked.cluster, now=now.timestamp()),
    )


def _captured(file: Path, snapshot: Snapshot) -> str:
    return (
        f"{file}: {len(snapshot.clusters)} clusters, {len(snapshot.placements)} Placements without their "
        f"manifests; read it with meshctl explain --replay {file}"
    )
