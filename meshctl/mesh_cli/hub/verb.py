"""`meshctl hub`: the cluster with the registrations. Each verb is a file, loaded when it is called."""

import click

from mesh_cli.verbs import LazyGroup, Verb

VERBS = {
    "init": Verb("mesh_cli.hub.init", "Make a cluster the hub."),
}


@click.group("hub", cls=LazyGroup, verbs=VERBS)
def command() -> None:
    """The hub: the cluster with the registrations of all others."""
