"""`meshctl precheck`: can a cluster be the hub, and another one register with it, before that is tried."""

from pathlib import Path

import click

from mesh_cli.check.reading import moment_of
from mesh_cli.check.render import exit_status, results_as_json, results_as_text
from mesh_cli.check.verdict import Result
from mesh_cli.contexts import complete_context
from mesh_cli.output import Form, output_option, show
from mesh_cli.precheck.looking import find_info, look_at_hub, look_at_member
from mesh_cli.precheck.verdict import HUB_CHECKS, MEMBER_CHECKS, judged
from mesh_cli.session import run
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import connect, read_login


@click.command("precheck")
@click.option(
    "--hub-context",
    metavar="NAME",
    shell_complete=complete_context,
    help="Kubeconfig context of the hub; without --context, by default the current.",
)
@click.option(
    "--context",
    metavar="NAME",
    shell_complete=complete_context,
    help="Kubeconfig context of the cluster that shall register.",
)
@click.option("--read-only", is_flag=True, help="Try nothing that makes objects, though only for a moment.")
@output_option
@click.pass_obj
def command(
    kubeconfig: Path | None, hub_context: str | None, context: str | None, read_only: bool, output: Form
) -> int:
    """Check whether a cluster can be the hub, and whether another one can register with it.

    On the hub a bootstrap token without rights, and a request for a certificate without rights, are made for
    a moment and deleted. Each check has an id that keeps its meaning: docs/registration.md. Ends with status
    1 when a check failed or could not be made; a warning alone is status 0.
    """
    results = run(_results(kubeconfig, hub_context=hub_context, context=context, tries=not read_only))
    at = moment_of(utc_now)
    show(output, json=lambda: results_as_json(results, at=at), table=lambda: results_as_text(results, at=at))
    return exit_status(results)


async def _results(
    kubeconfig: Path | None, *, hub_context: str | None, context: str | None, tries: bool
) -> list[Result]:
    results: list[Result] = []
    hub, info = None, None
    if hub_context is not None or context is None:
        login = read_login(kubeconfig=kubeconfig, context=hub_context)
        async with connect(kubeconfig=kubeconfig, context=login.context) as client:
            hub = await look_at_hub(client, login=login, clock=utc_now, tries=tries)
            info = await find_info(client, context=login.context)
        results += judged(HUB_CHECKS, hub, context=login.context)
    if context is not None:
        async with connect(kubeconfig=kubeconfig, context=context) as client:
            member = await look_at_member(client, context=context, clock=utc_now, hub=hub, info=info)
        results += judged(MEMBER_CHECKS, member, context=context)
    return results
