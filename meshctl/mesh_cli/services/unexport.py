"""`meshctl unexport`: take a Service back from the clusterset, and see it go."""

import asyncio
from pathlib import Path

import click

from mesh_cli.member.itself import read_facts
from mesh_cli.services.options import exporter_option, namespace_option
from mesh_cli.session import command_line, run
from mesh_cli.timeout_option import timeout_option
from mesh_core.errors import EnvironmentFault
from mesh_runtime.kube import SERVICE_EXPORTS, SERVICE_IMPORTS, KubeClient, connect, current_context

_PAUSE = 0.1  # seconds between two looks


class StillExported(EnvironmentFault):
    """The ServiceExport is deleted, and the cluster's own import still counts this cluster."""


@click.command("unexport")
@click.argument("name", metavar="SERVICE")
@namespace_option
@exporter_option
@click.option("--dry-run", is_flag=True, help="Change nothing: say what would be left.")
@timeout_option("How long to wait until this cluster exports it no more.", default=15.0)
@click.pass_obj
def command(
    kubeconfig: Path | None, *, name: str, namespace: str, context: str | None, dry_run: bool, timeout: float
) -> None:
    """Take SERVICE of one cluster out of the clusterset; the Service itself stays.

    Calls that run through the gateways may end. Says who still exports the name.
    """
    context = context or current_context(kubeconfig=kubeconfig)
    work = _unexport(
        kubeconfig, context=context, name=name, namespace=namespace, dry_run=dry_run, limit=timeout
    )
    for line in run(work):
        click.echo(line)


async def _unexport(
    kubeconfig: Path | None, *, context: str, name: str, namespace: str, dry_run: bool, limit: float
) -> list[str]:
    async with connect(kubeconfig=kubeconfig, context=context) as client:
        own = (await read_facts(client, context=context)).member().cluster
        seen = await client.find(SERVICE_EXPORTS, name, namespace=namespace)
        if seen is None:
            return [f"{namespace}/{name} is not exported by {own}: nothing was changed"]
        if dry_run:
            others = await _exporters(client, name, namespace=namespace) - {own}
            return [f"{namespace}/{name} would no longer be exported by {own}", _left(others)]
        await client.delete(SERVICE_EXPORTS, name, namespace=namespace, uid=seen.metadata.uid)
        try:
            async with asyncio.timeout(limit):
                while True:
                    others = await _exporters(client, name, namespace=namespace)
                    if own not in others:
                        break
                    await asyncio.sleep(_PAUSE)
        except TimeoutError as error:
            raise StillExported(
                f"the export {namespace}/{name} is deleted, and {own} still serves it after {limit:g} s",
                next_step=f"run {command_line(kubeconfig, 'check', '--context', context)}",
            ) from error
    return [f"{namespace}/{name} is no longer exported by {own}", _left(others)]


async def _exporters(client: KubeClient, name: str, *, namespace: str) -> frozenset[str]:
    """By the cluster's own import of the name."""
    found = await client.find(SERVICE_IMPORTS, name, namespace=namespace)
    return frozenset(one.cluster for one in found.status.clusters) if found is not None else frozenset()


def _left(others: frozenset[str]) -> str:
    if not others:
        return "nobody else exports it: its name in the clusterset goes away"
    return f"still exported by {', '.join(sorted(others))}"
