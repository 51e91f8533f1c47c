"""`meshctl explain`: why something is as it is."""

import click

from mesh_cli.verbs import LazyGroup, Verb

VERBS = {
    "placement": Verb("mesh_cli.explain_placement", "Why a Placement is where it is, and not elsewhere."),
}


@click.group("explain", cls=LazyGroup, verbs=VERBS)
def command() -> None:
    """Why something is as it is."""
