"""`meshctl link`: two members become peers of each other, with both clusters at hand."""

import asyncio
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import click

from mesh_cli.member.addresses import format_address, gateway_addresses
from mesh_cli.member.itself import Facts, read_facts
from mesh_cli.member.networks import pod_ranges
from mesh_cli.member.peer_objects import Place, Told, peer_body, peers_yaml
from mesh_cli.member.peering import (
    check_allowing,
    check_belief,
    check_exchange,
    check_pair,
    clusterset_of,
    dials,
    tell,
    wait_until_connected,
)
from mesh_cli.session import command_line, run
from mesh_cli.timeout_option import timeout_option
from mesh_cli.trust.bundle import following
from mesh_cli.trust.evicted import check_not_evicted
from mesh_cli.trust.members import MemberAtHand, newest_of, spread
from mesh_cli.trust.options import check_output, printing_options
from mesh_core.errors import MeshError
from mesh_core.membership import Membership, NotAMember, membership_of
from mesh_core.names import GATEWAY, SYSTEM_NAMESPACE
from mesh_core.objects import Dial, MeshPeer, PeerGateway
from mesh_core.trust_statement import Held
from mesh_runtime.kube import MESH_PEERS, NODES, SERVICES, KubeClient, connect
from mesh_runtime.progress import Progress, progress_for


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: who it is, how it is asked, who dials, where its gateway answers and its pods lie.

    `gateways` is empty when nobody dials it.
    """

    client: KubeClient
    context: str
    membership: Membership
    dial: Dial
    gateways: tuple[PeerGateway, ...]
    network: str
    pod_ranges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two members that can be peers: both sides, what each is told of the other, and the texts of trust that
    both shall have (none where they exchange roots)."""

    sides: tuple[Side, Side]
    told: tuple[Told, Told]
    members: tuple[MemberAtHand, MemberAtHand]
    held: Held


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a link shall be beside what both clusters say themselves.

    `dial` says who dials, as the first of the two has it; None keeps what both say now. With `exchange` they
    keep different roots. `allowing` are the contexts of those whose API server the other one may reach.
    """

    dial: Dial | None = None
    exchange: bool = False
    allowing: frozenset[str] = frozenset()


_NOTHING_SAID = Wishes()


@click.command("link")
@click.argument("east", metavar="CONTEXT")
@click.argument("west", metavar="CONTEXT")
@timeout_option("How long to wait until both are connected.", default=60.0)
@click.option(
    "--dial",
    type=click.Choice(get_args(Dial)),
    help="Who dials: both sides; outbound: only the first, which cannot be dialled; inbound: only the "
    "second. By default what both said before, at first both.",
)
@click.option(
    "--exchange-trust",
    is_flag=True,
    help="The two keep different roots: each side believes the other's root, for the other's id alone.",
)
@click.option(
    "--allow-api-server",
    "allowing",
    metavar="CONTEXT",
    multiple=True,
    help="The one of the two whose API server the other one's access proxy may reach through a tunnel: the "
    "member, where the other is its hub. Where it is not said, what was said before stays.",
)
@printing_options("Write nothing: print the MeshPeers that would be written, each with its side.")
@click.pass_obj
def command(
    kubeconfig: Path | None,
    east: str,
    west: str,
    timeout: float,
    dial: Dial | None,
    exchange_trust: bool,
    allowing: tuple[str, ...],
    dry_run: bool,
    output: str | None,
) -> None:
    """Make two members peers of each other and wait until both are connected.

    Each side's gateway addresses are read from its Service: the load balancer's, or for a NodePort the
    nodes' InternalIPs; a side that is not dialled needs none. Where both are on one network, the nodes'
    podCIDRs say which addresses are believed.
    """
    check_output(dry_run=dry_run, output=output)
    contexts = (east, west)
    wishes = Wishes(dial, exchange=exchange_trust, allowing=check_allowing(allowing, contexts=contexts))
    if dry_run:
        told = run(planned(contexts, kubeconfig=kubeconfig, wishes=wishes))
        click.echo(peers_yaml(told), nl=False)
        return
    work = link(
        contexts,
        kubeconfig=kubeconfig,
        wishes=wishes,
        limit=timeout,
        progress=progress_for(sys.stderr),
    )
    sides = run(work)
    for side in sides:
        where = f"at {', '.join(map(format_address, side.gateways))}" if side.gateways else "is not dialled"
        click.echo(f"{side.membership.cluster} {where}")
    for line in (*network_lines(sides), *consent_lines(sides, allowing=wishes.allowing)):
        click.echo(line)
    click.echo(f"{sides[0].membership.cluster} and {sides[1].membership.cluster} are connected")
    show = command_line(kubeconfig, "status", "--context", east, "--context", west)
    click.echo(f"next: export a Service with a ServiceExport of its name, then {show}")


async def link(
    contexts: tuple[str, str],
    *,
    kubeconfig: Path | None,
    wishes: Wishes = _NOTHING_SAID,
    limit: float,
    progress: Progress,
) -> tuple[Side, Side]:
    """Link the clusters of two contexts; `limit` in seconds is for the connection, both ways at once.

    Before that both get the newer of their signed texts of trust, so that they believe each other at once;
    where they exchange roots, each is told of the other's instead.

    Raises peering.NoPeerOfIts, evicted.PeerEvicted, WillNotFollow, TwoStatements, addresses.NoGatewayAddress,
    peering.NotConnected of the first side that is not connected.
    """
    async with _both(contexts, kubeconfig=kubeconfig) as clients:
        with progress.step("read both clusters"):
            pair = await _pair(clients, contexts=contexts, wishes=wishes)
        east, west = pair.sides
        if pair.held.statement is not None:
            with progress.step(f"both: generation {pair.held.generation} of the trust bundle"):
                # First, so that neither refuses the other for what it does not know yet.
                await spread(pair.held, members=pair.members)
        for own, peer, told in ((east, west, pair.told[0]), (west, east, pair.told[1])):
            with progress.step(f"{own.membership.cluster}: write peer {peer.membership.cluster}"):
                await tell(own.client, told)
        async with asyncio.TaskGroup() as group:
            outcomes = [
                group.create_task(_connected(own, peer, limit=limit, progress=progress))
                for own, peer in ((east, west), (west, east))
            ]
        for outcome in outcomes:
            if (error := outcome.result()) is not None:
                raise error
        return pair.sides


async def planned(
    contexts: tuple[str, str], *, kubeconfig: Path | None, wishes: Wishes = _NOTHING_SAID
) -> tuple[Told, Told]:
    """The MeshPeers that `link` would write; raises what it raises before it writes."""
    async with _both(contexts, kubeconfig=kubeconfig) as clients:
        return (await _pair(clients, contexts=contexts, wishes=wishes)).told


@asynccontextmanager
async def _both(
    contexts: tuple[str, str], *, kubeconfig: Path | None
) -> AsyncIterator[tuple[KubeClient, KubeClient]]:
    async with (
        connect(kubeconfig=kubeconfig, context=contexts[0]) as one,
        connect(kubeconfig=kubeconfig, context=contexts[1]) as other,
    ):
        yield one, other


async def _pair(clients: tuple[KubeClient, KubeClient], *, contexts: tuple[str, str], wishes: Wishes) -> Pair:
    """What is to be done with the two, as they are; raises where they cannot be peers."""
    one, other = [
        MemberAtHand(client, await read_facts(client, context=context))
        for client, context in zip(clients, contexts, strict=True)
    ]
    seen = await _seen(one.client, other.facts), await _seen(other.client, one.facts)
    # Who exchanged roots before goes on doing so.
    exchange = wishes.exchange or all(found is not None and found.spec.trust is not None for found in seen)
    held = _agreed(one, other, exchange=exchange)
    first, second = dials(wishes.dial, seen=seen)
    east = await _side(one, dial=first, dialled=second != "inbound")
    west = await _side(other, dial=second, dialled=first != "inbound")
    told = (
        _told(east, west, seen=seen[0], wishes=replace(wishes, exchange=exchange)),
        _told(west, east, seen=seen[1], wishes=replace(wishes, exchange=exchange)),
    )
    return Pair((east, west), told, members=(one, other), held=held)


def _told(own: Side, peer: Side, *, seen: MeshPeer | None, wishes: Wishes) -> Told:
    """What `own` is told of `peer`."""
    place = Place(
        peer.gateways,
        network=peer.network,
        pod_ranges=_ranges(own, peer),
        dial=own.dial,
        clusterset=clusterset_of(peer.membership) if wishes.exchange else None,
        api_server=True if own.context in wishes.allowing else None,
    )
    body = peer_body(peer.membership.cluster, place=place, seen=seen)
    return Told(own.membership.cluster, own.context, body)


def _agreed(one: MemberAtHand, other: MemberAtHand, *, exchange: bool) -> Held:
    """The newest texts of trust, which both shall have; none where they exchange roots.

    Raises NoPeerOfIts, PeerEvicted, WillNotFollow, TwoStatements where the two cannot be peers.
    """
    (check_exchange if exchange else check_pair)(one.membership, other.membership)
    check_not_evicted(one.facts, peer=other.membership.cluster)
    check_not_evicted(other.facts, peer=one.membership.cluster)
    if exchange:
        return Held()
    held = newest_of((one, other))
    check_belief(_after(one.facts, held=held), _after(other.facts, held=held))
    return held


def network_lines(sides: tuple[Side, Side]) -> list[str]:
    """What the two networks mean for the way of a packet, line by line; pure."""
    one, other = sides
    if not one.network or one.network != other.network:
        return []
    lines = [f"both are on network {one.network}: pods are reached without gateways"]
    for own, peer in ((one, other), (other, one)):
        if not peer.pod_ranges:
            cluster = peer.membership.cluster
            lines.append(
                f"the nodes of {cluster} state no podCIDRs: {own.membership.cluster} believes its pods' "
                f"addresses only where spec.import.podCIDRs of MeshPeer {cluster} says so; "
                "give them with meshctl peer add --pod-cidr"
            )
    return lines


def consent_lines(sides: tuple[Side, Side], *, allowing: Collection[str]) -> list[str]:
    """Who may reach whose API server from now on, line by line; pure."""
    return [
        f"the access proxy of {peer.membership.cluster} may reach the API server of {own.membership.cluster}"
        for own, peer in (sides, reversed(sides))
        if own.context in allowing
    ]


def _after(facts: Facts, *, held: Held) -> Membership:
    """Whom the cluster believes once it has taken what is newer; raises WillNotFollow."""
    if facts.bundle is None:
        return facts.member()
    taken = following(held, bundle=facts.bundle, context=facts.context)
    match membership_of(facts.cluster_id, facts.bundle, held=taken):
        case Membership() as membership:
            return membership
        case NotAMember():
            return facts.member()


async def _seen(client: KubeClient, peer: Facts) -> MeshPeer | None:
    return await client.find(MESH_PEERS, peer.member().cluster)


async def _side(member: MemberAtHand, *, dial: Dial, dialled: bool) -> Side:
    client, facts = member.client, member.facts
    service = await client.get(SERVICES, GATEWAY, namespace=SYSTEM_NAMESPACE)
    is_asked = facts.network or (dialled and service.spec.type == "NodePort")
    nodes = (await client.list(NODES)).items if is_asked else []
    return Side(
        client=client,
        context=facts.context,
        membership=facts.member(),
        dial=dial,
        gateways=gateway_addresses(service, nodes=nodes) if dialled else (),
        network=facts.network,
        pod_ranges=pod_ranges(nodes) if facts.network else (),
    )


def _ranges(own: Side, peer: Side) -> tuple[str, ...] | None:
    """What `own` is told of the pods of `peer`; None keeps what somebody told it by hand."""
    if not peer.network or own.network != peer.network:
        return None
    return peer.pod_ranges or None


async def _connected(own: Side, peer: Side, *, limit: float, progress: Progress) -> MeshError | None:
    """Why `own` is not connected to `peer`, None when it is: one side's trouble hides not the other's."""
    cluster, other = own.membership.cluster, peer.membership.cluster
    try:
        with progress.step(f"{cluster}: connect to {other}") as step:
            await wait_until_connected(own.client, cluster=cluster, peer=other, limit=limit, step=step)
    except MeshError as error:
        return error
    return None
