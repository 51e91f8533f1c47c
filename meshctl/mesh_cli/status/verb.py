"""`meshctl status`: members, links, exports, imports and certificates, and how old that knowledge is."""

import asyncio
import os
import sys
from pathlib import Path

import click

from mesh_cli.contexts import contexts_option
from mesh_cli.output import Form, output_option, show
from mesh_cli.paint import is_wanted, legible, plain
from mesh_cli.session import run
from mesh_cli.status.render import survey_as_json, survey_as_text
from mesh_cli.status.survey import NotSeen, Survey
from mesh_cli.status.surveying import survey
from mesh_cli.status.watching import Blocks, ended_by_key, live_screen, watch
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import current_context


@click.command("status")
@contexts_option()
@click.option("-w", "--watch", "watching", is_flag=True, help="Go on: a live screen, or blocks into a pipe.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.2),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch: the pause between two looks.",
)
@output_option
@click.pass_obj
def command(
    kubeconfig: Path | None, contexts: tuple[str, ...], watching: bool, every: float, output: Form
) -> int:
    """Show members, links, exports, imports and certificates, and how old that knowledge is.

    A link is up when the peer's last words were taken in and acknowledged a moment ago; what counts as
    connected and is older is stale. Without --context the current context is asked. Ends with status 1 when
    a cluster did not answer, with --watch at the last look.
    """
    asked = tuple(dict.fromkeys(contexts)) or (current_context(kubeconfig=kubeconfig),)
    if watching:
        found = run(_watch(asked, kubeconfig=kubeconfig, every=every, output=output))
    else:
        found = run(survey(asked, kubeconfig=kubeconfig, clock=utc_now))
        _show(found, output)
    return 1 if any(isinstance(one, NotSeen) for one in found.clusters) else 0


async def _watch(asked: tuple[str, ...], *, kubeconfig: Path | None, every: float, output: Form) -> Survey:
    async def ask() -> Survey:
        return await survey(asked, kubeconfig=kubeconfig, clock=utc_now)

    is_live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and output in (Form.TABLE, Form.WIDE)
    if not is_live:
        between = {Form.JSON: "", Form.YAML: "---\n"}.get(output, "\n")
        blocks = Blocks(lambda found: _show(found, output), between=between)
        return await watch(ask, screen=blocks, ended=asyncio.Event(), every=every)
    with ended_by_key(sys.stdin) as ended, live_screen(lambda found: _coloured(found, output)) as screen:
        return await watch(ask, screen=screen, ended=ended, every=every)


def _show(found: Survey, output: Form) -> None:
    show(
        output,
        json=lambda: survey_as_json(found),
        table=lambda: survey_as_text(found),
        wide=lambda: survey_as_text(found, wide=True),
    )


def _coloured(found: Survey, output: Form) -> str:
    text = survey_as_text(found, wide=output is Form.WIDE)
    return legible(text) if is_wanted(os.environ, is_terminal=True) else legible(plain(text))
