"""`meshctl peer`: the peers of one member, where both clusters are not at hand together."""

from pathlib import Path
from typing import get_args

import click

from mesh_cli.addresses import MOST_ADDRESSES, format_address, parse_address
from mesh_cli.clusterset_file import read_clusterset
from mesh_cli.evicted import check_not_evicted
from mesh_cli.member import read_facts
from mesh_cli.networks import parse_network, parse_ranges
from mesh_cli.peer_end import evict, remove
from mesh_cli.peering import NoPeerOfIts, Place, write_peer
from mesh_cli.session import command_line, run
from mesh_core.errors import UserError
from mesh_core.identity import ClusterId, cluster_id
from mesh_core.objects import Dial
from mesh_runtime.kube import connect, current_context


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
@click.option("--context", help="Kubeconfig context of the member that gets a peer; by default the current.")
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
) -> None:
    """Tell one member where a peer is. The peer must be told of this member too.

    A second call replaces the addresses of the first, and who dials, the network and CIDRs where it says so.
    """
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
    gateways = tuple(dict.fromkeys(parse_address(text) for text in addresses))
    known = cluster_id(peer)
    context = context or current_context(kubeconfig=kubeconfig)
    place = Place(
        gateways,
        network=parse_network(network) if network is not None else None,
        pod_ranges=parse_ranges(pod_cidrs) if pod_cidrs else None,
        dial=dial,
        clusterset=read_clusterset(clusterset) if clusterset is not None else None,
    )
    own = run(_add(kubeconfig, context=context, peer=known, place=place))
    where = f"at {', '.join(map(format_address, gateways))}" if gateways else "and waits to be dialled by it"
    click.echo(f"{own} knows {known} {where}")
    click.echo(f"next: {command_line(kubeconfig, 'status', '--context', context)}")


async def _add(kubeconfig: Path | None, *, context: str, peer: ClusterId, place: Place) -> ClusterId:
    async with connect(kubeconfig=kubeconfig, context=context) as client:
        facts = await read_facts(client, context=context)
        member = facts.member()
        if member.cluster == peer:
            raise NoPeerOfIts(
                f"{peer} is the cluster id of context {context} itself",
                next_step="give the cluster id of the other cluster",
            )
        check_not_evicted(facts, peer=peer)
        await write_peer(client, peer=peer, place=place)
        return member.cluster
