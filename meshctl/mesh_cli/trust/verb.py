"""`meshctl trust`: the clusterset's root of trust. Each verb is a file, loaded when it is called."""

import click

from mesh_cli.verbs import LazyGroup, Verb

VERBS = {
    "approve": Verb("mesh_cli.trust.approve", "Sign for a member that waits, or that an issuer let in."),
    "delegate": Verb("mesh_cli.trust.delegate", "Make a key that may evict, and nothing else."),
    "evict": Verb("mesh_cli.trust.evict", "Refuse a member everywhere, for good."),
    "export": Verb("mesh_cli.trust.export", "What another clusterset needs to believe this member."),
    "init": Verb("mesh_cli.trust.init", "Make the root of a new clusterset."),
    "renew": Verb("mesh_cli.trust.renew", "Sign the members' intermediates anew before they end."),
    "rotate": Verb("mesh_cli.trust.rotate", "Replace the root, or a member's key, while all goes on."),
    "settle": Verb("mesh_cli.trust.settle", "End a state in which two statements have one number."),
    "status": Verb("mesh_cli.trust.status", "Roots, roster, what was refused, and who is behind."),
}


@click.group("trust", cls=LazyGroup, verbs=VERBS)
def command() -> None:
    """The clusterset's root of trust."""
