"""`meshctl clusters accept`: a person lets a cluster in, whose key was pinned when it asked."""

from pathlib import Path

import click

from mesh_cli.clusters.one import Patch, changed, hub_client
from mesh_cli.contexts import context_option
from mesh_cli.session import run
from mesh_core.errors import UserError
from mesh_placement.names import ANNOTATION_ACCEPT_KEY
from mesh_placement.objects import ClusterRegistration
from mesh_runtime.ca_pins import parse_pin


class OtherKey(UserError):
    """Somebody else than was expected asks to be that cluster."""


@click.command("accept")
@click.argument("name", metavar="CLUSTER")
@context_option("the hub")
@click.option("--key", metavar="sha256:HEX", help="Only if the key that asked has this fingerprint.")
@click.option(
    "--new-key",
    metavar="sha256:HEX",
    help="The cluster was set up anew: let this key take the place of the one that is pinned.",
)
@click.pass_obj
def command(
    kubeconfig: Path | None, name: str, context: str | None, key: str | None, new_key: str | None
) -> None:
    """Let CLUSTER in. It needs the verb `accept` on clusterregistrations/accept."""
    expected, replacing = (parse_pin(one) if one is not None else "" for one in (key, new_key))
    done = run(_accept(kubeconfig, context=context, name=name, key=expected, new_key=replacing))
    pinned = done.status.id.key_fingerprint
    click.echo(f"{name} is accepted into ClusterSet {done.spec.cluster_set}")
    click.echo(f"  its key: {pinned}" if pinned else "  it has not asked yet: the first key that does is it")


async def _accept(
    kubeconfig: Path | None, *, context: str | None, name: str, key: str, new_key: str
) -> ClusterRegistration:
    def change(found: ClusterRegistration) -> Patch:
        return acceptance(found, key=key, new_key=new_key)

    async with hub_client(kubeconfig, context=context) as client:
        return await changed(client, name, change=change)


def acceptance(found: ClusterRegistration, *, key: str, new_key: str) -> Patch:
    """What is written to accept it, {} for nothing; raises OtherKey, and UserError for one that leaves."""
    name, pinned = found.metadata.name, found.status.id.key_fingerprint
    if found.metadata.deletion_timestamp is not None:
        raise UserError(f"{name} is leaving", next_step="wait until it is gone, then register it again")
    if key and key != pinned:
        raise OtherKey(
            f"{name} was asked for by the key {pinned or 'of nobody yet'}, not by {key}",
            next_step="compare it with the agent's log on the member; refuse it with meshctl clusters leave",
        )
    patch: Patch = {}
    if not found.spec.accepted:
        patch["spec"] = {"accepted": True}
    if new_key and found.metadata.annotations.get(ANNOTATION_ACCEPT_KEY) != new_key:
        patch["metadata"] = {"annotations": {ANNOTATION_ACCEPT_KEY: new_key}}
    return patch
