"""`meshctl clusters leave`: a cluster leaves the hub, in good order or by force.

1. Deleting the registration is all that is asked; the hub and the agent do the rest, and go on when this
   command is cut off.
2. By force, nobody waits for the member: what it still has, it clears away when it returns.
"""

import sys
from pathlib import Path
from typing import get_args

import click

from mesh_cli.clusters.one import Patch, changed, hub_client
from mesh_cli.contexts import context_option
from mesh_cli.session import run
from mesh_cli.timeout_option import timeout_option
from mesh_core.errors import EnvironmentFault
from mesh_placement.names import ANNOTATION_FORCE_LEAVE
from mesh_placement.objects import ClusterRegistration, LeaveWorkloads
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.kube import Informer, KubeClient
from mesh_runtime.progress import Progress, progress_for
from mesh_runtime.sighting import sighting


class StillLeaving(EnvironmentFault):
    """The cluster has not left in time."""

    def __init__(self, name: str, *, waited: float, why: str) -> None:
        super().__init__(
            f"{name} has not left after {waited:.0f} s ({why})",
            next_step="wait on with the same command; where its member is gone for good, give --force",
        )


@click.command("leave")
@click.argument("name", metavar="CLUSTER")
@context_option("the hub")
@click.option("--force", is_flag=True, help="Do not wait for the member: it is gone, or cannot be reached.")
@click.option(
    "--workloads",
    type=click.Choice(get_args(LeaveWorkloads)),
    help="What becomes of what the hub brought there. Migrate lets Placements move it first, then deletes; "
    "by default as its registration says.",
)
@click.option("--wait", is_flag=True, help="Until it has left.")
@timeout_option("How long --wait waits.", default=900.0)
@click.pass_obj
def command(
    kubeconfig: Path | None,
    name: str,
    context: str | None,
    force: bool,
    workloads: LeaveWorkloads | None,
    wait: bool,
    timeout: float,
) -> None:
    """Take CLUSTER out of the hub: its traffic goes first, then what was placed there, then its rights."""
    work = _leave(
        kubeconfig,
        context=context,
        name=name,
        force=force,
        workloads=workloads,
        limit=timeout if wait else None,
    )
    click.echo(f"{name} has left" if run(work) else f"{name} leaves; see meshctl clusters")


async def _leave(
    kubeconfig: Path | None,
    *,
    context: str | None,
    name: str,
    force: bool,
    workloads: LeaveWorkloads | None,
    limit: float | None,
) -> bool:
    def change(found: ClusterRegistration) -> Patch:
        return wishes(found, force=force, workloads=workloads)

    async with hub_client(kubeconfig, context=context) as client:
        found = await changed(client, name, change=change)
        if found.metadata.deletion_timestamp is None:
            await client.delete(CLUSTER_REGISTRATIONS, name, uid=found.metadata.uid)
        if limit is None:
            return False
        await _until_gone(client, found, limit=limit, progress=progress_for(sys.stderr))
        return True


def wishes(found: ClusterRegistration, *, force: bool, workloads: LeaveWorkloads | None) -> Patch:
    """What is written before the registration is deleted; {} for nothing."""
    patch: Patch = {}
    if force and found.metadata.annotations.get(ANNOTATION_FORCE_LEAVE) != "true":
        patch["metadata"] = {"annotations": {ANNOTATION_FORCE_LEAVE: "true"}}
    if workloads is not None and found.spec.leave.workloads != workloads:
        patch["spec"] = {"leave": {"workloads": workloads}}
    return patch


def stage(found: ClusterRegistration | None) -> str:
    """What its leaving waits for, as the hub says it."""
    if found is None:
        return "gone"
    leaving = next((one for one in found.status.conditions if one.type == "Leaving"), None)
    return " ".join(leaving.message.split()) if leaving is not None else "no hub has looked yet"


async def _until_gone(
    client: KubeClient, leaving: ClusterRegistration, *, limit: float, progress: Progress
) -> None:
    name, uid = leaving.metadata.name, leaving.metadata.uid
    informer = Informer(client, CLUSTER_REGISTRATIONS, fields=f"metadata.name={name}")

    def still() -> ClusterRegistration | None:
        found = informer.get(name)
        return found if found is not None and found.metadata.uid == uid else None

    with progress.step(f"{name}: wait until it has left") as step:

        def look() -> bool | None:
            found = still()
            step.update(stage(found))
            return True if found is None else None

        if await sighting(informer, look=look, limit=limit) is None:
            raise StillLeaving(name, waited=limit, why=stage(still()))
