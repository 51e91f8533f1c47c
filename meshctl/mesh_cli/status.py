"""`meshctl status`: members, peers, exports and imports, and how old that knowledge is."""

from pathlib import Path

import click

from mesh_cli.render import survey_as_json, survey_as_text
from mesh_cli.session import run
from mesh_cli.survey import NotSeen
from mesh_cli.surveying import survey
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import current_context


@click.command("status")
@click.option("--context", "contexts", multiple=True, help="Kubeconfig context; may be given several times.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people, or for programs.",
)
@click.pass_obj
def command(kubeconfig: Path | None, contexts: tuple[str, ...], output: str) -> int:
    """Show members, peers, exports and imports, and how old that knowledge is.

    Without --context the current context is asked. Ends with status 1 when a cluster did not answer.
    """
    asked = contexts or (current_context(kubeconfig=kubeconfig),)
    found = run(survey(asked, kubeconfig=kubeconfig, clock=utc_now))
    click.echo(survey_as_json(found) if output == "json" else survey_as_text(found), nl=False)
    return 1 if any(isinstance(one, NotSeen) for one in found.clusters) else 0
