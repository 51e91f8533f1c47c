"""`meshctl backup`: what a hub knows of its clusters, in a file.

1. The file is readable by its owner alone, and whole or not there.
2. Nothing on the hub is changed, and no Secret is read unless that was asked for.
"""

from pathlib import Path

import click

from mesh_cli.clusters.one import hub_client
from mesh_cli.contexts import context_option
from mesh_cli.hub.address import read_info
from mesh_cli.hub.backup_objects import read_hub
from mesh_cli.own_file import put_own_file
from mesh_cli.session import run
from mesh_core.conditions import rfc3339
from mesh_placement.decide.backup import Backup, backup_of, text_of
from mesh_runtime.clock import utc_now


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@context_option("the hub")
@click.option("--with-secrets", is_flag=True, help="With the Secrets that members get; in clear text.")
@click.pass_obj
def command(kubeconfig: Path | None, file: Path, context: str | None, with_secrets: bool) -> None:
    """Write what a hub knows of its clusters into FILE, readable by you alone.

    ClusterSets, registrations with the keys that they are pinned to, what each cluster is to have, and the
    Placements that it has it from. All else a hub finds out by itself.
    """
    made = run(_backup(kubeconfig, context=context, with_secrets=with_secrets))
    put_own_file(file, text_of(made).encode())
    click.echo("\n".join(report(made, file=file, with_secrets=with_secrets)))


async def _backup(kubeconfig: Path | None, *, context: str | None, with_secrets: bool) -> Backup:
    async with hub_client(kubeconfig, context=context) as client:
        info = await read_info(client, where=f"context {context}" if context else "the current context")
        seen = await read_hub(client, with_secrets=with_secrets)
    return backup_of(seen, server=info.server, at=rfc3339(utc_now()), with_secrets=with_secrets)


def report(made: Backup, *, file: Path, with_secrets: bool) -> list[str]:
    """What is in it and what is not, line by line; pure."""
    kinds = [one["kind"] for one in made.objects]
    lines = [
        f"{file}: {kinds.count('ClusterRegistration')} clusters, {kinds.count('Assignment')} Assignments, "
        f"{kinds.count('Work')} Works, {kinds.count('Placement')} Placements of {made.head.server}"
    ]
    if with_secrets and "Secret" in kinds:
        lines.append(f"  {kinds.count('Secret')} Secrets are in it in clear text: keep it as you keep those")
    if made.head.left_out:
        lines.append(
            f"  {len(made.head.left_out)} Secrets are not in it (--with-secrets): "
            f"{', '.join(made.head.left_out)}"
        )
    ending = [
        f"{one['kind']} {one['metadata']['name']}"
        for one in made.objects
        if "deletionTimestamp" in one["metadata"]
    ]
    if ending:
        lines.append(f"  being deleted, and again when restored: {', '.join(ending)}")
    return lines
