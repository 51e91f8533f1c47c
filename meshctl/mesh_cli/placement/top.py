"""`meshctl top`: what is used up, and how much is left."""

import click

from mesh_cli.verbs import LazyGroup, Verb

VERBS = {"clusters": Verb("mesh_cli.placement.top_clusters", "The room in the clusters of a hub.")}


@click.group("top", cls=LazyGroup, verbs=VERBS)
def command() -> None:
    """What is used up, and how much is left."""
