"""`meshctl uninstall`: everything of ours goes out of a cluster, by inventory.

A member that is in use is left alone: `leave` withdraws its traffic first, and then does the same.
"""

import sys
from pathlib import Path

import click

from mesh_cli.contexts import context_option
from mesh_cli.install.inventory import Inventory, kept_lines, lines_of
from mesh_cli.install.inventory_reading import read_inventory
from mesh_cli.install.removal import Removed, remove_everything
from mesh_cli.session import command_line, run
from mesh_cli.timeout_option import timeout_option
from mesh_core.errors import UserError
from mesh_core.names import TRUST_BUNDLE
from mesh_placement.names import GROUP
from mesh_runtime.kube import KubeClient, connect, current_context
from mesh_runtime.progress import Progress, progress_for

LIMIT = 30.0
"""Seconds that a removal may take, from its beginning."""
_MOST_SHOWN = 5


class InUse(UserError):
    """The cluster is a member that others, or its own programs, still count on."""


@click.command("uninstall")
@context_option()
@click.option("--dry-run", is_flag=True, help="Show what would go and what would stay, and change nothing.")
@click.option(
    "--force", is_flag=True, help="Also while peers are linked, Services exported, or clusters registered."
)
@click.option("--keep-crds", "keep_kinds", is_flag=True, help="Leave all CustomResourceDefinitions.")
@timeout_option("How long to wait until everything is gone; then what hangs is named.", default=LIMIT)
@click.pass_obj
def command(
    kubeconfig: Path | None, context: str | None, dry_run: bool, force: bool, keep_kinds: bool, timeout: float
) -> None:
    """Take everything that join and the programs made out of a cluster. Running it again goes on.

    ServiceExports stay, without our conditions; so do kinds and properties that others use or brought.
    """
    context = context or current_context(kubeconfig=kubeconfig)
    if dry_run:
        found = run(look(context, kubeconfig=kubeconfig, keep_kinds=keep_kinds))
        click.echo("\n".join(dry_lines(found, context=context)))
        return
    work = uninstall(
        context,
        kubeconfig=kubeconfig,
        force=force,
        keep_kinds=keep_kinds,
        limit=timeout,
        progress=progress_for(sys.stderr),
    )
    click.echo("\n".join(removed_lines(run(work), context=context)))


async def look(context: str, *, kubeconfig: Path | None, keep_kinds: bool) -> Inventory:
    """What there is."""
    async with connect(kubeconfig=kubeconfig, context=context) as client:
        return await read_inventory(client, keep_kinds=keep_kinds)


async def uninstall(
    context: str,
    *,
    kubeconfig: Path | None,
    force: bool,
    keep_kinds: bool,
    limit: float,
    progress: Progress,
) -> Removed:
    """Remove everything; raises InUse, removal.Hangs, ApiError, Unreachable."""
    async with connect(kubeconfig=kubeconfig, context=context) as client:
        if not force:
            await check_unused(client, context=context, kubeconfig=kubeconfig)
        return await remove_everything(
            client, context=context, keep_kinds=keep_kinds, limit=limit, progress=progress
        )


async def check_unused(client: KubeClient, *, context: str, kubeconfig: Path | None) -> None:
    """Raises InUse when the cluster is a member with peers or exports."""
    inventory = await read_inventory(client)
    if clusters := inventory.named("clusterregistrations", group=GROUP):
        leave = command_line(kubeconfig, "clusters", "leave", "--context", context)
        raise InUse(
            f"context {context} is in use: it is the hub of {_few(clusters)}",
            next_step=f"run {leave} for each of them, or give --force: what they have stays where it is",
        )
    if claims := inventory.named("clusterclaims", group=GROUP):
        raise InUse(
            f"context {context} is in use: it ordered {_few(claims)}",
            next_step="delete these ClusterClaims while their providers run, which destroy what they "
            "made, or give --force: what was made stays",
        )
    users = users_of(inventory)
    if users:
        leave = command_line(kubeconfig, "leave", "--context", context)
        raise InUse(
            f"context {context} is in use: {'; '.join(users)}",
            next_step=f"run {leave}, which withdraws its traffic first, or give --force",
        )


def users_of(inventory: Inventory) -> list[str]:
    """What counts on this cluster's membership of the mesh, none when it is no member (any more); pure."""
    if TRUST_BUNDLE not in inventory.named("trustbundles"):
        return []
    users = []
    if peers := inventory.named("meshpeers"):
        users.append(f"linked with {_few(peers)}")
    if inventory.exports:
        users.append(f"exports {_few(['/'.join(key) for key in inventory.exports])}")
    return users


def dry_lines(inventory: Inventory, *, context: str) -> list[str]:
    """What a dry run says; pure."""
    if inventory.is_empty:
        return [f"nothing of ours is in context {context}", *kept_lines(inventory)]
    clusters = inventory.named("clusterregistrations", group=GROUP)
    claims = inventory.named("clusterclaims", group=GROUP)
    users = users_of(inventory) + ([f"is the hub of {_few(clusters)}"] if clusters else [])
    users += [f"has ordered {_few(claims)}"] if claims else []
    used = [f"  in use: {user}" for user in users]
    return [f"would be removed from context {context}:", *lines_of(inventory), *kept_lines(inventory), *used]


def removed_lines(removed: Removed, *, context: str) -> list[str]:
    """What a run says at its end; pure."""
    if removed.before.is_empty:
        return [f"nothing of ours is in context {context}", *kept_lines(removed.after)]
    count = len(removed.before.items)
    return [f"removed {count} objects from context {context}; none is left", *kept_lines(removed.after)]


def _few(names: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(names[:_MOST_SHOWN]) + more
