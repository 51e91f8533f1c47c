"""`meshctl token`: by which clusters come to the hub. Each verb is a file, loaded when it is called."""

import click

from mesh_cli.verbs import LazyGroup, Verb

VERBS = {
    "create": Verb("mesh_cli.hub.token_create", "A token by which a cluster registers."),
    "list": Verb("mesh_cli.hub.token_list", "Which tokens there are, and who came with them."),
    "revoke": Verb("mesh_cli.hub.token_revoke", "End a token; whom it has let in stays."),
}


@click.group("token", cls=LazyGroup, verbs=VERBS)
def command() -> None:
    """Tokens by which clusters come to the hub."""
