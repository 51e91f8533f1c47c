"""`meshctl check`: is all as it should be, and if not, what is the next step; reads only."""

from pathlib import Path

import click

from mesh_cli.check.reading import look_at, moment_of
from mesh_cli.check.registry import chosen, run_checks
from mesh_cli.check.render import exit_status, results_as_json, results_as_text
from mesh_cli.contexts import contexts_option
from mesh_cli.output import Form, output_option, show
from mesh_cli.session import run
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import current_context


@click.command("check")
@contexts_option()
@click.option(
    "--only",
    default="",
    metavar="ID,...",
    help="Only these checks, by ids or beginnings of ids: MESH-TRUST,MESH-GW-001.",
)
@output_option
@click.pass_obj
def command(kubeconfig: Path | None, contexts: tuple[str, ...], only: str, output: Form) -> int:
    """Check trust, peers, gateways, DNS, rights, clocks and exports of clusters, and say what to do.

    Nothing is changed. Gateways are dialled from here, which they count among what they refuse. Each check
    has an id that keeps its meaning: docs/checks.md. Without --context the current context is checked. Ends
    with status 1 when a check failed or could not be made; a warning alone is status 0.
    """
    checks = chosen([word.strip() for word in only.split(",") if word.strip()])
    asked = tuple(dict.fromkeys(contexts)) or (current_context(kubeconfig=kubeconfig),)
    found = run(look_at(asked, kubeconfig=kubeconfig, clock=utc_now))
    results = run_checks(checks, all_findings=found)
    at = moment_of(utc_now)
    show(output, json=lambda: results_as_json(results, at=at), table=lambda: results_as_text(results, at=at))
    return exit_status(results)
