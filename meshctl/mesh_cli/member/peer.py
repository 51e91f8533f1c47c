"""`meshctl peer`: the peers of one member, where both clusters are not at hand together."""

from pathlib import Path
from typing import get_args

import click

from mesh_cli.contexts import context_option
from mesh_cli.member.addresses import MOST_ADDRESSES, format_address, parse_address
from mesh_cli.member.clusterset_file import read_clusterset
from mesh_cli.member.itself import read_facts
from mesh_cli.member.networks import parse_network, parse_ranges
from mesh_cli.member.peer_end import evict, remove
from mesh_cli.member.peer_objects import Place, Told, peer_body, peers_yaml
from mesh_cli.member.peering import NoPeerOfIts, tell
from mesh_cli.session import command_line, run
from mesh_cli.trust.evicted import check_not_evicted
from mesh_cli.trust.options import check_output, printing_options
from mesh_core.errors import UserError
from mesh_core.identity import ClusterId, cluster_id
from mesh_core.objects import Dial, PeerGateway
from mesh_runtime.kube import MESH_PEERS, connect, current_context


class TooManyAddresses(UserError):
    """A peer has only so many addresses."""


class NoAddress(UserError):
    """A peer that is dialled has an address."""


@click.group("peer")
def command() -> None:
    """The peers of one member."""


command.add_command(evict)
command.add_command(remove)


@command.command("add")
@context_option("the member that gets a peer")
@click.option("--peer", required=True, metavar="ID", help="Cluster id of the peer.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="HOST:PORT",
    help="Where the peer's gateway answers; several in order of preference. Not needed with --dial inbound.",
)
@click.option(
    "--dial",
    type=click.Choice(get_args(Dial)),
    help="Who dials: both sides; outbound: only this member; inbound: only the peer. "
    "The peer must be told the opposite.",
)
@click.option(
    "--network",
    metavar="NAME",
    help="Network that the peer shares with others; pods on this member's own are reached without gateways.",
)
@click.option(
    "--pod-cidr",
    "pod_cidrs",
    multiple=True,
    metavar="CIDR",
    help="Where the addresses of the peer's pods lie: without, none is believed on a common network.",
)
@click.option(
    "--clusterset",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="For a peer with a root of its own: what meshctl trust export printed there.",
)
@click.option(
    "--allow-api-server/--no-allow-api-server",
    "api_server",
    default=None,
    help="Whether the peer's access proxy may reach this member's API server through a tunnel: for its hub. "
    "By default what was said before, at first not.",
)
@printing_options("Write nothing: print the MeshPeer that would be written.")
@click.pass_obj
def add(
    kubeconfig: Path | None,
    context: str | None,
    peer: str,
    addresses: tuple[str, ...],
    dial: Dial | None,
    network: str | None,
    pod_cidrs: tuple[str, ...],
    clusterset: Path | None,
    api_server: bool | None,
    dry_run: bool,
    output: str | None,
) -> None:
    """Tell one member where a peer is. The peer must be told of this member too.

    A second call replaces the addresses of the first, and who dials, the network, CIDRs and the consent to
    reach the API server where it says so.
    """
    check_output(dry_run=dry_run, output=output)
    gateways = _gateways(addresses, peer=peer, dial=dial)
    known = cluster_id(peer)
    context = context or current_context(kubeconfig=kubeconfig)
    place = Place(
        gateways,
        network=parse_network(network) if network is not None else None,
        pod_ranges=parse_ranges(pod_cidrs) if pod_cidrs else None,
        dial=dial,
        clusterset=read_clusterset(clusterset) if clusterset is not None else None,
        api_server=api_server,
    )
    told = run(_add(kubeconfig, context=context, peer=known, place=place, dry_run=dry_run))
    if dry_run:
        click.echo(peers_yaml((told,)), nl=False)
        return
    where = f"at {', '.join(map(format_address, gateways))}" if gateways else "and waits to be dialled by it"
    click.echo(f"{told.member} knows {known} {where}")
    click.echo(f"next: {command_line(kubeconfig, 'status', '--context', context)}")


def _gateways(addresses: tuple[str, ...], *, peer: str, dial: Dial | None) -> tuple[PeerGateway, ...]:
    """Where the peer answers; raises NoAddress, TooManyAddresses and what parse_address does."""
    if not addresses and dial != "inbound":
        raise NoAddress(
            f"no address of {peer} was given",
            next_step="give --address HOST:PORT, or --dial inbound if only the peer can dial",
        )
    if len(addresses) > MOST_ADDRESSES:
        raise TooManyAddresses(
            f"{len(addresses)} addresses were given", next_step=f"give at most {MOST_ADDRESSES}"
        )
    # A map keeps the order and drops repeated addresses, which the API server would refuse.
    return tuple(dict.fromkeys(parse_address(text) for text in addresses))


async def _add(
    kubeconfig: Path | None, *, context: str, peer: ClusterId, place: Place, dry_run: bool
) -> Told:
    async with connect(kubeconfig=kubeconfig, context=context) as client:
        facts = await read_facts(client, context=context)
        member = facts.member()
        if member.cluster == peer:
            raise NoPeerOfIts(
                f"{peer} is the cluster id of context {context} itself",
                next_step="give the cluster id of the other cluster",
            )
        check_not_evicted(facts, peer=peer)
        body = peer_body(peer, place=place, seen=await client.find(MESH_PEERS, peer))
        told = Told(member.cluster, context, body)
        if not dry_run:
            await tell(client, told)
        return told
