"""`meshctl gateways`: what each gateway carries, how far its peers are, and what it refused."""

from pathlib import Path

import click

from mesh_cli.contexts import contexts_option
from mesh_cli.gateways.render import gateways_as_json, gateways_as_text
from mesh_cli.gateways.surveying import survey_gateways
from mesh_cli.output import Form, output_option, show
from mesh_cli.session import run
from mesh_runtime.kube import current_context


@click.command("gateways")
@contexts_option()
@output_option
@click.pass_obj
def command(kubeconfig: Path | None, contexts: tuple[str, ...], output: Form) -> int:
    """Show what each gateway carries, how far its peers are, and what it refused.

    What is counted counts since the gateway's pod started; RTT is the median. The right to get pods/proxy
    in meshctl-system is needed. Without --context the current context is asked. Ends with status 1 when a
    gateway did not answer, or a cluster has none.
    """
    asked = contexts or (current_context(kubeconfig=kubeconfig),)
    found = run(survey_gateways(asked, kubeconfig=kubeconfig))
    show(output, json=lambda: gateways_as_json(found), table=lambda: gateways_as_text(found))
    return 0 if found.is_whole else 1
