"""`meshctl peers`: how each member stands with each of its peers."""

from pathlib import Path

import click

from mesh_cli.contexts import contexts_option
from mesh_cli.output import Form, output_option, show
from mesh_cli.peers.render import peers_as_json, peers_as_text
from mesh_cli.peers.survey import Link
from mesh_cli.peers.surveying import survey_peers
from mesh_cli.session import run
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import current_context


@click.command("peers")
@contexts_option()
@output_option
@click.pass_obj
def command(kubeconfig: Path | None, contexts: tuple[str, ...], output: Form) -> int:
    """Show each link as each member sees it: its state, last contact and sync, round trip, gateways, age.

    Up: traffic goes and news come. Stale: traffic goes, and what the peer exports is not heard. Down: no
    local gateway reaches it. Apart: neither. Ends with status 1 when a link is not Up, or a cluster did not
    answer.
    """
    asked = tuple(dict.fromkeys(contexts)) or (current_context(kubeconfig=kubeconfig),)
    found = run(survey_peers(asked, kubeconfig=kubeconfig, clock=utc_now))
    show(
        output,
        json=lambda: peers_as_json(found),
        table=lambda: peers_as_text(found),
        wide=lambda: peers_as_text(found, wide=True),
    )
    return 1 if found.unseen or any(one.link is not Link.UP for one in found.lines) else 0
