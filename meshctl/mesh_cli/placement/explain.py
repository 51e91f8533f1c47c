"""`meshctl explain`: why something is as it is; and a stored cycle of the scheduler, run again."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from mesh_cli.explain.pages import ID, PAGES, sections, shipped
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


class _Explaining(LazyGroup):
    """Knows the ids of errors and checks beside its verbs."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if not ID.fullmatch(cmd_name.upper()):
            return super().get_command(ctx, cmd_name)
        # Imported only where an id is asked for: help stays fast.
        from mesh_cli.explain.verb import explaining

        return explaining(cmd_name.upper())

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = super().shell_complete(ctx, incomplete)
        if not incomplete.upper().startswith("M"):
            return found
        known = [id_ for page in PAGES for id_ in sections(shipped(page))]
        return found + [CompletionItem(id_) for id_ in known if id_.startswith(incomplete.upper())]


@click.group(
    "explain",
    cls=_Explaining,
    verbs=VERBS,
    invoke_without_command=True,
    subcommand_metavar="ID | COMMAND [ARGS]...",
)
@click.option(
    "--replay",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The plan of what meshctl explain placement --capture wrote; no hub is asked.",
)
@output_option
@click.pass_context
def command(ctx: click.Context, replay: Path | None, output: Form) -> None:
    """Why something is as it is.

    With an ID, as errors (MESH-E-0042) and checks (MESH-TRUST-003) have one: what it means and what to do.
    """
    if replay is not None and ctx.invoked_subcommand is None:
        # The scheduler is imported only where it is needed: help stays fast.
        from mesh_cli.placement.explain_replay import replayed

        stored = replayed(replay)
        show(output, json=stored.json, table=stored.table)
    elif replay is not None:
        raise click.UsageError("--replay asks no hub: leave the verb out", ctx)
    elif ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
