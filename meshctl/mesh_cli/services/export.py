"""`meshctl export`: offer a Service to the clusterset, and wait for what the controller says of it."""

import asyncio
from pathlib import Path

import click

from mesh_cli.member.itself import read_facts
from mesh_cli.services.export_objects import Body, export_body, export_yaml, need_not_be_written, said_of
from mesh_cli.services.options import exporter_option, namespace_option
from mesh_cli.session import FIELD_MANAGER, command_line, run
from mesh_cli.table import one_line
from mesh_cli.timeout_option import timeout_option
from mesh_cli.trust.options import check_output, printing_options
from mesh_core.errors import EnvironmentFault, UserError
from mesh_core.names import CLUSTERSET_ZONE
from mesh_core.objects import Condition
from mesh_runtime.kube import SERVICE_EXPORTS, SERVICES, KubeClient, connect, current_context

_PAUSE = 0.1  # seconds between two looks


class NoSuchService(UserError):
    """What is to be exported is not there."""


class NotExported(EnvironmentFault):
    """The ServiceExport is written, and no record of it goes out."""


@click.command("export")
@click.argument("name", metavar="SERVICE")
@namespace_option
@exporter_option
@click.option(
    "--to",
    multiple=True,
    metavar="WHO",
    help="Who alone may use it: CLUSTER, CLUSTER/NAMESPACE, CLUSTER/NAMESPACE/SERVICEACCOUNT or "
    "CLUSTER/@node, with * for every cluster; may be given several times. Without it: every member, or whom "
    "an export that is there already names.",
)
@printing_options("Write nothing: print the ServiceExport that would be written.")
@timeout_option("How long to wait for what the controller says.", default=15.0)
@click.pass_obj
def command(
    kubeconfig: Path | None,
    *,
    name: str,
    namespace: str,
    context: str | None,
    to: tuple[str, ...],
    dry_run: bool,
    output: str | None,
    timeout: float,
) -> None:
    """Offer SERVICE to the other clusters of the clusterset, under the same name and namespace.

    Says when it is exported, to whom, and under which name; ends with status 1 when it is withheld.
    """
    check_output(dry_run=dry_run, output=output)
    body = export_body(name, namespace=namespace, to=to)
    context = context or current_context(kubeconfig=kubeconfig)
    said = run(_export(kubeconfig, context=context, body=body, to=to, dry_run=dry_run, limit=timeout))
    if said is None:
        click.echo(export_yaml(body), nl=False)
        return
    click.echo(f"{namespace}/{name}: {one_line(said.message)}")
    click.echo(f"its name is {name}.{namespace}.svc.{CLUSTERSET_ZONE}")
    click.echo(f"next: {command_line(kubeconfig, 'services', '--context', context, '-n', namespace)}")


async def _export(
    kubeconfig: Path | None, *, context: str, body: Body, to: tuple[str, ...], dry_run: bool, limit: float
) -> Condition | None:
    """What the controller says; None where nothing was to be written."""
    name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
    async with connect(kubeconfig=kubeconfig, context=context) as client:
        (await read_facts(client, context=context)).member()
        if await client.find(SERVICES, name, namespace=namespace) is None:
            raise NoSuchService(
                f"context {context} has no Service {namespace}/{name}",
                next_step="create it first, or give its namespace with -n",
            )
        if dry_run:
            return None
        seen = await client.find(SERVICE_EXPORTS, name, namespace=namespace)
        if not need_not_be_written(seen, to=to):
            await client.apply(SERVICE_EXPORTS, body, field_manager=FIELD_MANAGER)
        said = await _until_said(client, name, namespace=namespace, limit=limit)
    if said is None:
        raise NotExported(
            f"{namespace}/{name} is offered, and no controller has looked at it within {limit:g} s",
            next_step=f"run {command_line(kubeconfig, 'check', '--context', context)}",
        )
    if said.status != "True":
        what, _, advice = one_line(said.message).partition("; ")
        raise NotExported(
            f"{namespace}/{name} is not exported ({one_line(said.reason)}): {what}",
            next_step=advice or f"kubectl --context {context} -n {namespace} describe serviceexport {name}",
        )
    return said


async def _until_said(client: KubeClient, name: str, *, namespace: str, limit: float) -> Condition | None:
    try:
        async with asyncio.timeout(limit):
            while True:
                said = said_of(await client.find(SERVICE_EXPORTS, name, namespace=namespace))
                if said is not None:
                    return said
                await asyncio.sleep(_PAUSE)
    except TimeoutError:
        return None
