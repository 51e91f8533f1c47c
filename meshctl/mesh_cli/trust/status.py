"""`meshctl trust status`: who is believed, who was refused, and who is behind."""

from pathlib import Path

import click

from mesh_cli.contexts import contexts_option
from mesh_cli.output import Form, output_option, show
from mesh_cli.session import run
from mesh_cli.trust.options import trust_option
from mesh_cli.trust.render import trust_as_json, trust_as_text
from mesh_cli.trust.survey import NotAsked
from mesh_cli.trust.surveying import trust_survey
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import current_context


@click.command("status")
@contexts_option()
@trust_option(required=False)
@output_option
@click.pass_obj
def command(
    kubeconfig: Path | None, contexts: tuple[str, ...], trust_folder: Path | None, output: Form
) -> int:
    """Show roots, roster, issuers and refused keys, how far a change of root is, and who is behind.

    Needs no key. Without --context and --trust the current context is asked. Ends with status 1 when a
    cluster did not answer, never because one is behind.
    """
    asked = contexts or (() if trust_folder is not None else (current_context(kubeconfig=kubeconfig),))
    seen = run(trust_survey(asked, folder=trust_folder, kubeconfig=kubeconfig, clock=utc_now))
    show(output, json=lambda: trust_as_json(seen), table=lambda: trust_as_text(seen))
    return 1 if any(isinstance(one, NotAsked) for one in seen.contexts) else 0
