"""`meshctl clusters proxy`: a kubeconfig that leads to a member through the hub, as the same user.

The hub's API server knows the person, and passes the request on to the access proxy (an aggregated API), so
the kubeconfig is that of the hub with another path. What the person may do in the member, the member says.
"""

from pathlib import Path

import click

from mesh_cli.clusters.one import hub_client, registration
from mesh_cli.contexts import context_option
from mesh_cli.own_file import put_own_file
from mesh_cli.session import run
from mesh_core.identity import cluster_id
from mesh_placement.names import ACCESS_GROUP
from mesh_placement.objects import ClusterRegistration
from mesh_runtime.kube import kubeconfig_of, read_login

_AVAILABLE = {"Available", "Ready"}


def proxy_path(cluster: str) -> str:
    """Where the hub's API server leads to a member's."""
    return f"/apis/{ACCESS_GROUP}/v1alpha1/clusters/{cluster}/proxy"


@click.command("proxy")
@click.argument("name", metavar="CLUSTER")
@context_option("the hub")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write it, readable by you alone; by default to standard output.",
)
@click.pass_obj
def command(kubeconfig: Path | None, name: str, context: str | None, file: Path | None) -> None:
    """Write a kubeconfig by which kubectl works on CLUSTER, through the hub and as who you are there.

    It holds what the hub's context holds, so keep it as you keep that.
    """
    cluster = cluster_id(name)
    login = read_login(kubeconfig=kubeconfig, context=context)
    found = run(_registration(kubeconfig, context=login.context, name=cluster))
    for line in doubts(found):
        click.echo(line, err=True)
    text = kubeconfig_of(login, name=cluster, server=login.server + proxy_path(cluster))
    if file is None:
        click.echo(text, nl=False)
        return
    put_own_file(file, text.encode())
    click.echo(f"next: kubectl --kubeconfig {file} get pods")


def doubts(found: ClusterRegistration) -> list[str]:
    """Why it may not work now, line by line; pure."""
    name = found.metadata.name
    lines = []
    if found.status.phase not in _AVAILABLE:
        lines.append(f"{name} is {found.status.phase or 'Pending'}: it can be reached when it is Available")
    if not found.status.agent.access:
        lines.append(f"{name} does not let the hub's users in (meshctl register --allow-access, there)")
    return lines


async def _registration(kubeconfig: Path | None, *, context: str, name: str) -> ClusterRegistration:
    async with hub_client(kubeconfig, context=context) as client:
        return await registration(client, name)
