"""`meshctl gather`: a support bundle, without secrets, also where half of a system is down."""

import asyncio
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import click

from mesh_cli.contexts import contexts_option
from mesh_cli.gather.bundle import Bundle, archive
from mesh_cli.gather.reading import gather
from mesh_cli.own_file import put_own_file
from mesh_cli.session import run
from mesh_cli.timeout_option import timeout_option
from mesh_core.conditions import rfc3339
from mesh_core.errors import EnvironmentFault, UserError
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import current_context


class FileThere(UserError):
    """A file would be overwritten."""


class NothingGathered(EnvironmentFault):
    """Nobody answered."""


@click.command("gather")
@contexts_option()
@click.option(
    "--out",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; by default meshctl-gather-TIME.tar.gz in the current folder.",
)
@click.option(
    "--since-hours",
    type=click.FloatRange(min=0, max=720, min_open=True),
    default=6.0,
    show_default=True,
    help="How far back logs go.",
)
@timeout_option("How long the whole may take; what is not there by then is left out.", default=120.0)
@click.pass_obj
def command(
    kubeconfig: Path | None,
    *,
    contexts: tuple[str, ...],
    file: Path | None,
    since_hours: float,
    timeout: float,
) -> None:
    """Gather what support needs from clusters into one file: our objects, logs, metrics, events, checks,
    versions.

    Secrets are not read, and what looks like one is taken out; have a look before you send it. What could
    not be had stands in MANIFEST.json with the reason. Without --context the current context is asked.
    """
    asked = tuple(dict.fromkeys(contexts)) or (current_context(kubeconfig=kubeconfig),)
    at = utc_now().replace(microsecond=0)
    folder = f"meshctl-gather-{at.strftime('%Y%m%dT%H%M%SZ')}"
    file = file or Path(f"{folder}.tar.gz")
    if file.exists():
        raise FileThere(f"{file} is there already", next_step="name another file with --out")
    since = timedelta(hours=since_hours)
    bundle = run(_gather(asked, kubeconfig=kubeconfig, since=since, limit=timeout))
    if not bundle.files:
        what, why = bundle.missing[0] if bundle.missing else ("", "nothing answered")
        raise NothingGathered(f"nothing could be gathered ({what}: {why})", next_step="check the contexts")
    put_own_file(file, archive(bundle, folder=folder, head=_head(asked, at=at), at=int(at.timestamp())))
    click.echo(f"{file}: {len(bundle.files)} files, {bundle.size / (1 << 20):.1f} MiB before compression")
    for what, why in sorted(set(bundle.missing)):
        click.echo(f"  not in it: {what}: {why}")
    click.echo("secrets were taken out as far as they can be told; have a look before you send it")


async def _gather(
    contexts: tuple[str, ...], *, kubeconfig: Path | None, since: timedelta, limit: float
) -> Bundle:
    bundle, deadline = Bundle(), asyncio.get_running_loop().time() + limit
    async with asyncio.TaskGroup() as group:
        for context in contexts:
            group.create_task(
                gather(
                    context,
                    bundle=bundle,
                    kubeconfig=kubeconfig,
                    clock=utc_now,
                    since=since,
                    deadline=deadline,
                )
            )
    return bundle


def _head(contexts: tuple[str, ...], *, at: datetime) -> dict[str, object]:
    return {"meshctl": version("clusterset-mesh"), "at": rfc3339(at), "contexts": contexts}
