"""`meshctl trust export`: what the operator of another clusterset needs to believe this member."""

from pathlib import Path

import click

from mesh_cli.contexts import context_option
from mesh_cli.member.clusterset_file import clusterset_text
from mesh_cli.member.itself import read_facts
from mesh_cli.member.peering import clusterset_of
from mesh_cli.session import run
from mesh_core.membership import Membership
from mesh_runtime.kube import connect, current_context


@click.command("export")
@context_option("the member")
@click.pass_obj
def command(kubeconfig: Path | None, context: str | None) -> None:
    """Print domain and roots of a member's clusterset: nothing secret.

    In the other clusterset: meshctl peer add --peer ID --address HOST:PORT --clusterset FILE. There they are
    believed for that one id.
    """
    member = run(_member(kubeconfig, context=context or current_context(kubeconfig=kubeconfig)))
    click.echo(clusterset_text(clusterset_of(member)), nl=False)


async def _member(kubeconfig: Path | None, *, context: str) -> Membership:
    async with connect(kubeconfig=kubeconfig, context=context) as client:
        return (await read_facts(client, context=context)).member()
