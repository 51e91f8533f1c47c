"""`meshctl events`: what changed about our objects, in all clusters, by time."""

import re
from datetime import timedelta
from pathlib import Path

import click

from mesh_cli.contexts import contexts_option
from mesh_cli.events.render import timeline_as_json, timeline_as_text
from mesh_cli.events.surveying import Wanted, survey_events
from mesh_cli.output import Form, output_option, show
from mesh_cli.session import run
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import current_context

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(_context: click.Context, _parameter: click.Parameter, typed: str | None) -> timedelta | None:
    if typed is None:
        return None
    found = re.fullmatch(r"([0-9]{1,5})([smhd])", typed)
    if found is None:
        raise click.BadParameter(f"{typed!r} is no duration: use 30s, 15m, 2h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


@click.command("events")
@contexts_option()
@click.option("-n", "--namespace", default="", help="Only objects of this namespace; by default all.")
@click.option("--since", callback=_duration, metavar="DURATION", help="Not older than 30s, 15m, 2h or 7d.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="So many of the newest."
)
@output_option
@click.pass_obj
def command(
    kubeconfig: Path | None,
    contexts: tuple[str, ...],
    namespace: str,
    since: timedelta | None,
    limit: int,
    output: Form,
) -> int:
    """Show what changed last about exports, imports, peers, trust and placement, and what Kubernetes says of
    our pods: all clusters in one list, the newest below.

    Of each condition its last change is known, and of exports, imports, peers and trust the earlier ones of
    the last hour, by Events. Ends with status 1 when a cluster did not
    answer.
    """
    asked = tuple(dict.fromkeys(contexts)) or (current_context(kubeconfig=kubeconfig),)
    wanted = Wanted(namespace, since, limit)
    found = run(survey_events(asked, kubeconfig=kubeconfig, wanted=wanted, clock=utc_now))
    show(
        output,
        json=lambda: timeline_as_json(found),
        table=lambda: timeline_as_text(found),
        wide=lambda: timeline_as_text(found, wide=True),
    )
    return 1 if found.unseen else 0
