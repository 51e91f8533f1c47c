"""`meshctl status`: members, peers, exports and imports, and how old that knowledge is."""

from pathlib import Path

import click

from mesh_cli.contexts import contexts_option
from mesh_cli.output import Form, output_option, show
from mesh_cli.session import run
from mesh_cli.status.render import survey_as_json, survey_as_text
from mesh_cli.status.survey import NotSeen
from mesh_cli.status.surveying import survey
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import current_context


@click.command("status")
@contexts_option()
@output_option
@click.pass_obj
def command(kubeconfig: Path | None, contexts: tuple[str, ...], output: Form) -> int:
    """Show members, peers, exports and imports, and how old that knowledge is.

    Without --context the current context is asked. Ends with status 1 when a cluster did not answer.
    """
    asked = contexts or (current_context(kubeconfig=kubeconfig),)
    found = run(survey(asked, kubeconfig=kubeconfig, clock=utc_now))
    show(output, json=lambda: survey_as_json(found), table=lambda: survey_as_text(found))
    return 1 if any(isinstance(one, NotSeen) for one in found.clusters) else 0
