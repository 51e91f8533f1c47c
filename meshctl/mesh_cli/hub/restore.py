"""`meshctl restore`: a new hub knows again what is in a file of `meshctl backup`.

1. Before anything is written all of the file was read, and it is known that no name is another cluster's.
2. It may be cut off anywhere and be run again; what is there stays (`decide.restoring`).
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from mesh_cli.clusters.one import hub_client
from mesh_cli.contexts import context_option
from mesh_cli.hub.address import read_info
from mesh_cli.hub.backup_objects import read_there
from mesh_cli.session import FIELD_MANAGER, run
from mesh_core.errors import UserError
from mesh_core.plan import Json
from mesh_placement.decide.backup import Backup, read_backup
from mesh_placement.decide.restoring import Act, Plan, Step, key_of, restore_plan
from mesh_placement.names import HUB_MANAGER
from mesh_placement.whole_objects import BY_KIND
from mesh_runtime.kube import ApiError, KubeClient
from mesh_runtime.progress import Progress, progress_for


class UnreadableBackup(UserError):
    """The file cannot be read."""

    def __init__(self, file: Path, *, why: str) -> None:
        super().__init__(f"{file} cannot be read ({why})", next_step="give a file of meshctl backup")


@click.command("restore")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@context_option("the hub")
@click.option("--skip-existing", is_flag=True, help="Leave out clusters whose names are others' by now.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.pass_obj
def command(
    kubeconfig: Path | None, file: Path, context: str | None, skip_existing: bool, dry_run: bool
) -> None:
    """Give a hub, fresh from meshctl hub init, what is in FILE.

    Members keep what they have: each agent finds its registration, by its key, and goes on.
    """
    try:
        backup = read_backup(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableBackup(file, why=str(error)) from error
    progress = progress_for(sys.stderr)
    plan, server = run(
        restore(
            kubeconfig,
            context=context,
            backup=backup,
            skip_existing=skip_existing,
            dry_run=dry_run,
            progress=progress,
        )
    )
    click.echo("\n".join(report(plan, backup=backup, server=server, dry_run=dry_run)))


async def restore(
    kubeconfig: Path | None,
    *,
    context: str | None,
    backup: Backup,
    skip_existing: bool,
    dry_run: bool,
    progress: Progress,
) -> tuple[Plan, str]:
    """What was written, or would be, and where members reach the hub.

    Raises hub_objects.NoHub, restoring.OtherCluster, ApiError, Unreachable.
    """
    async with hub_client(kubeconfig, context=context) as client:
        info = await read_info(client, where=f"context {context}" if context else "the current context")
        there = await read_there(client, backup)
        plan = restore_plan(backup, there=there, skip_existing=skip_existing)
        if not dry_run:
            with progress.step(f"restore {len(backup.objects)} objects"):
                await take(client, plan.steps)
    return plan, info.server


async def take(client: KubeClient, steps: Iterable[Step]) -> None:
    """One write after the other, in their order. Raises ApiError, Unreachable."""
    for step in steps:
        kind, namespace, name = key_of(step.body)
        resource = BY_KIND[kind]
        match step.act:
            case Act.CREATE:
                await _create(client, step)
            case Act.MERGE:
                change: Json = {field: step.body[field] for field in ("spec", "data") if field in step.body}
                await client.merge_patch(resource, name, change, namespace=namespace)
            case Act.PIN:
                await client.apply(resource, step.body, field_manager=HUB_MANAGER, subresource="status")
            case Act.DELETE:
                await client.delete(resource, name, namespace=namespace)


def report(plan: Plan, *, backup: Backup, server: str, dry_run: bool) -> list[str]:
    """What was done, or would be, line by line; pure."""
    lines = []
    if dry_run:
        lines += [f"would {step.act.value} {_words(step)}" for step in plan.steps]
    clusters = sum(1 for one in backup.objects if one["kind"] == "ClusterRegistration")
    written = f"{len(plan.steps)} writes" if plan.steps else "nothing to write"
    lines.append(
        f"backup of {backup.head.server} at {backup.head.at}: "
        f"{clusters - len(plan.skipped)} clusters, {written}{' to come' if dry_run and plan.steps else ''}"
    )
    if plan.skipped:
        lines.append(f"  skipped, their names are other clusters': {', '.join(plan.skipped)}")
    if plan.kept:
        lines.append(f"  left as on this hub, not as in the backup: {', '.join(plan.kept)}")
    if backup.head.left_out:
        lines.append(
            f"  Secrets that are not in the backup; what needs them waits: {', '.join(backup.head.left_out)}"
        )
    if server != backup.head.server:
        lines.append(
            f"  members look for the hub at {backup.head.server}, and this one is {server}: "
            "have that address lead here, or register them anew"
        )
    made = [step.body for step in plan.steps if step.act is Act.CREATE]
    tokens = [
        one["metadata"]["name"]
        for one in made
        if one["kind"] == "ClusterRegistration" and one["spec"].get("driver") == "token"
    ]
    if tokens:
        lines.append(
            "  credentials with the driver token ended with the old hub; meshctl token create and "
            f"meshctl register again: {', '.join(tokens)}"
        )
    return lines


async def _create(client: KubeClient, step: Step) -> None:
    try:
        await client.create(BY_KIND[step.body["kind"]], step.body, field_manager=FIELD_MANAGER)
    except ApiError as error:
        # Somebody else made it meanwhile, as the hub does with a namespace.
        if not error.is_conflict:
            raise


def _words(step: Step) -> str:
    kind, namespace, name = key_of(step.body)
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
