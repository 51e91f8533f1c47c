"""`meshctl token revoke`: a token of the hub ends; whom it has let in stays."""

from pathlib import Path

import click

from mesh_cli.contexts import context_option
from mesh_cli.session import run
from mesh_core.errors import UserError
from mesh_placement.decide.bootstrap_token import NAMESPACE, is_id, read_token, secret_name
from mesh_runtime.kube import SECRETS, connect, current_context


class NoToken(UserError):
    """There is no token with that id."""

    def __init__(self, token_id: str) -> None:
        super().__init__(
            f"there is no token {token_id[:40]!r} of a ClusterSet",
            next_step="see which there are with meshctl token list",
        )


@click.command("revoke")
@click.argument("token_id", metavar="ID")
@context_option("the hub")
@click.pass_obj
def command(kubeconfig: Path | None, token_id: str, context: str | None) -> None:
    """End the token ID (the part before the dot). Whom it has let in stays; see `meshctl clusters leave`."""
    context = context or current_context(kubeconfig=kubeconfig)
    name = token_id.partition(".")[0]
    run(revoke(kubeconfig, context=context, token_id=name))
    click.echo(f"token {name} is revoked; whom it has let in stays (see meshctl clusters leave)")


async def revoke(kubeconfig: Path | None, *, context: str, token_id: str) -> None:
    """Delete the Secret of a token of ours; raises NoToken."""
    if not is_id(token_id):
        raise NoToken(token_id)
    async with connect(kubeconfig=kubeconfig, context=context) as client:
        found = await client.find(SECRETS, secret_name(token_id), namespace=NAMESPACE)
        if found is None or read_token(found) is None:
            raise NoToken(token_id)
        await client.delete(SECRETS, found.metadata.name, namespace=NAMESPACE, uid=found.metadata.uid)
