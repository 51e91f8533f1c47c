"""`meshctl services`: what is exported and imported in the clusterset, as one table."""

from pathlib import Path

import click

from mesh_cli.contexts import contexts_option
from mesh_cli.output import Form, output_option, show
from mesh_cli.services.render import services_as_json, services_as_text
from mesh_cli.services.surveying import survey_services
from mesh_cli.session import run
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import current_context


@click.command("services")
@contexts_option()
@click.option("-n", "--namespace", default="", help="Only this namespace; by default all.")
@output_option
@click.pass_obj
def command(kubeconfig: Path | None, contexts: tuple[str, ...], namespace: str, output: Form) -> int:
    """Show every exported name: who exports and imports it, its type, ports, conflicts and age.

    One cluster shows what it and its peers export; with several --context also what each of these
    withholds or has not imported. Without --context the current context is asked. Ends with status 1 when a
    cluster did not answer.
    """
    asked = tuple(dict.fromkeys(contexts)) or (current_context(kubeconfig=kubeconfig),)
    found = run(survey_services(asked, kubeconfig=kubeconfig, namespace=namespace, clock=utc_now))
    show(
        output,
        json=lambda: services_as_json(found),
        table=lambda: services_as_text(found),
        wide=lambda: services_as_text(found, wide=True),
    )
    return 1 if found.unseen else 0
