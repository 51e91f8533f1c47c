"""`meshctl link`: two members become peers of each other, with both clusters at hand."""

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from mesh_cli.addresses import format_address, gateway_addresses
from mesh_cli.member import read_facts
from mesh_cli.peering import check_pair, wait_until_connected, write_peer
from mesh_cli.session import command_line, run
from mesh_core.errors import MeshError
from mesh_core.membership import Membership
from mesh_core.names import GATEWAY, SYSTEM_NAMESPACE
from mesh_core.objects import PeerGateway
from mesh_runtime.kube import NODES, SERVICES, KubeClient, connect
from mesh_runtime.progress import Progress, progress_for


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: who it is, how it is asked, where its gateway answers."""

    client: KubeClient
    membership: Membership
    gateways: tuple[PeerGateway, ...]


@click.command("link")
@click.argument("east", metavar="CONTEXT")
@click.argument("west", metavar="CONTEXT")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait until both are connected.",
)
@click.pass_obj
def command(kubeconfig: Path | None, east: str, west: str, timeout: float) -> None:
    """Make two members peers of each other and wait until both are connected.

    Each side's gateway addresses are read from its Service: the load balancer's, or for a NodePort the
    nodes' InternalIPs.
    """
    sides = run(link((east, west), kubeconfig=kubeconfig, limit=timeout, progress=progress_for(sys.stderr)))
    for side in sides:
        click.echo(f"{side.membership.cluster} at {', '.join(map(format_address, side.gateways))}")
    click.echo(f"{sides[0].membership.cluster} and {sides[1].membership.cluster} are connected")
    show = command_line(kubeconfig, "status", "--context", east, "--context", west)
    click.echo(f"next: export a Service with a ServiceExport of its name, then {show}")


async def link(
    contexts: tuple[str, str], *, kubeconfig: Path | None, limit: float, progress: Progress
) -> tuple[Side, Side]:
    """Link the clusters of two contexts; `limit` in seconds is for the connection, both ways at once.

    Raises peering.NoPeerOfIts, addresses.NoGatewayAddress, peering.NotConnected of the first side that
    is not connected.
    """
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(connect(kubeconfig=kubeconfig, context=context))
            for context in contexts
        ]
        with progress.step("read both clusters"):
            members = [
                (await read_facts(client, context=context)).member()
                for client, context in zip(clients, contexts, strict=True)
            ]
            check_pair(members[0], members[1])
            gateways = [await _gateways(client) for client in clients]
        east, west = (
            Side(client=client, membership=member, gateways=found)
            for client, member, found in zip(clients, members, gateways, strict=True)
        )
        for own, peer in ((east, west), (west, east)):
            with progress.step(f"{own.membership.cluster}: write peer {peer.membership.cluster}"):
                await write_peer(own.client, peer=peer.membership.cluster, gateways=peer.gateways)
        async with asyncio.TaskGroup() as group:
            outcomes = [
                group.create_task(_connected(own, peer, limit=limit, progress=progress))
                for own, peer in ((east, west), (west, east))
            ]
        for outcome in outcomes:
            if (error := outcome.result()) is not None:
                raise error
        return east, west


async def _gateways(client: KubeClient) -> tuple[PeerGateway, ...]:
    service = await client.get(SERVICES, GATEWAY, namespace=SYSTEM_NAMESPACE)
    nodes = (await client.list(NODES)).items if service.spec.type == "NodePort" else ()
    return gateway_addresses(service, nodes=nodes)


async def _connected(own: Side, peer: Side, *, limit: float, progress: Progress) -> MeshError | None:
    """Why `own` is not connected to `peer`, None when it is: one side's trouble hides not the other's."""
    cluster, other = own.membership.cluster, peer.membership.cluster
    try:
        with progress.step(f"{cluster}: connect to {other}") as step:
            await wait_until_connected(own.client, cluster=cluster, peer=other, limit=limit, step=step)
    except MeshError as error:
        return error
    return None
