"""`meshctl explain`: why something is as it is; and a stored cycle of the scheduler, run again."""

from pathlib import Path

import click

from mesh_cli.output import Form, output_option, show
from mesh_cli.verbs import LazyGroup, Verb

VERBS = {
    "hosts": Verb(
        "mesh_cli.placement.explain_hosts", "Whether a Placement is reached by its business host names."
    ),
    "placement": Verb(
        "mesh_cli.placement.explain_placement", "Why a Placement is where it is, and not elsewhere."
    ),
}


@click.group("explain", cls=LazyGroup, verbs=VERBS, invoke_without_command=True)
@click.option(
    "--replay",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The plan of what meshctl explain placement --capture wrote; no hub is asked.",
)
@output_option
@click.pass_context
def command(ctx: click.Context, replay: Path | None, output: Form) -> None:
    """Why something is as it is."""
    if replay is not None and ctx.invoked_subcommand is None:
        # The scheduler is imported only where it is needed: help stays fast.
        from mesh_cli.placement.explain_replay import replayed

        stored = replayed(replay)
        show(output, json=stored.json, table=stored.table)
    elif replay is not None:
        raise click.UsageError("--replay asks no hub: leave the verb out", ctx)
    elif ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
