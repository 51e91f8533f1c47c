"""`meshctl invite`: a token by which somebody else's cluster comes in, without a kubeconfig of either side.

1. A token is printed only when it can work: the gateway has an address, an issuer is there, and the door was
   found open and to be ours, by the very way that the newcomer takes.
2. The token alone goes to standard output; what a person wants to know of it goes beside.
"""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import click

from mesh_cli.contexts import context_option
from mesh_cli.install.rollout import readiness
from mesh_cli.invite.invitation_book import add, parse_span, read_book, remove, revoke
from mesh_cli.member.addresses import format_address, gateway_addresses, parse_address
from mesh_cli.member.itself import Facts, read_facts
from mesh_cli.member.networks import pod_ranges
from mesh_cli.session import command_line, run
from mesh_cli.timeout_option import timeout_option
from mesh_cli.trust.enrolment import Enrolment, taken
from mesh_cli.trust.issuing import Issuing, good_issuer
from mesh_cli.trust.passphrase import asking
from mesh_core.conditions import rfc3339
from mesh_core.errors import EnvironmentFault, UserError
from mesh_core.identity import ClusterId, cluster_id
from mesh_core.invitation_token import ID_SIZE, MOST_GATEWAYS, SECRET_SIZE, Token, key_of, write_token
from mesh_core.invitations import MOST_USES, Invitation, has_ended
from mesh_core.join_wire import JoinFailed
from mesh_core.names import CONTROLLER, GATEWAY, SYSTEM_NAMESPACE, TRUST_BUNDLE
from mesh_core.objects import PeerGateway
from mesh_core.objects.trust import IssuerEntry, Statement
from mesh_core.trust_statement import Held, held_by
from mesh_runtime.clock import utc_now
from mesh_runtime.join_stream import known_offer
from mesh_runtime.kube import (
    DEPLOYMENTS,
    NODES,
    SERVICES,
    TRUST_BUNDLES,
    KubeClient,
    connect,
    current_context,
)
from mesh_runtime.progress import Progress, progress_for
from mesh_runtime.trust_dir import load_trust_dir
from mesh_runtime.trust_signing import keys_of, signers

_PAUSE = 0.25


class NoIssuer(UserError):
    """The cluster cannot let anybody in yet."""


class NotReady(EnvironmentFault):
    """The cluster's programs do not run as they have to."""


class DoorShut(EnvironmentFault):
    """The token would not work."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for; `addresses` empty takes those of the gateway's Service."""

    context: str
    uses: int
    ttl: timedelta
    cluster: str
    addresses: tuple[PeerGateway, ...]
    trust_folder: Path | None
    pool: str
    shares_network: bool
    checks: bool
    limit: float


@click.command("invite")
@context_option("the member that invites")
@click.option(
    "--uses", type=click.IntRange(1, MOST_USES), default=1, show_default=True, help="Clusters it lets in."
)
@click.option("--ttl", default="15m", show_default=True, metavar="TIME", help="How long: 90s, 15m, 2h, 7d.")
@click.option("--cluster-id", "name", default="", metavar="ID", help="The only id that may come with it.")
@click.option(
    "--trust",
    "trust_folder",
    type=click.Path(path_type=Path),
    help="Folder of the root: makes the member an issuer first. Needed once, and again within 20 to 30 days.",
)
@click.option("--pool", default="", metavar="NAME", help="Pool of a new issuer, in place of by-ID.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="HOST:PORT",
    help=f"Where the newcomer reaches our gateway, at most {MOST_GATEWAYS}; by default as the Service says.",
)
@click.option(
    "--same-network",
    is_flag=True,
    help="The newcomer may be on our network and say which addresses its pods have there.",
)
@click.option(
    "--unchecked", is_flag=True, help="Print the token though its address cannot be reached from here."
)
@timeout_option("How long to wait for an issuer's request, and for the door to open.", default=30.0)
@click.option("--list", "lists", is_flag=True, help="Show the invitations there are.")
@click.option("--revoke", "revoked", metavar="ID", help="End an invitation; whom it has let in stays.")
@click.pass_obj
def command(
    kubeconfig: Path | None,
    context: str | None,
    uses: int,
    ttl: str,
    name: str,
    trust_folder: Path | None,
    pool: str,
    addresses: tuple[str, ...],
    same_network: bool,
    unchecked: bool,
    timeout: float,
    lists: bool,
    revoked: str | None,
) -> None:
    """Print a token by which another cluster becomes a member: see `meshctl accept`.

    Whoever has the token can come in with it: pass it on as you would a password.
    """
    context = context or current_context(kubeconfig=kubeconfig)
    if lists:
        book = run(_list(kubeconfig, context=context))
        click.echo("\n".join(lines_of(book, now=utc_now())))
        return
    if revoked:
        run(_revoke(kubeconfig, context=context, name=revoked))
        click.echo(f"invitation {revoked} is revoked; whom it has let in stays (see meshctl peer evict)")
        return
    wish = Wish(
        context=context,
        uses=uses,
        ttl=parse_span(ttl),
        cluster=cluster_id(name) if name else "",
        addresses=tuple(dict.fromkeys(map(parse_address, addresses)))[:MOST_GATEWAYS],
        trust_folder=trust_folder,
        pool=cluster_id(pool) if pool else "",
        shares_network=same_network,
        checks=not unchecked,
        limit=timeout,
    )
    token = run(invite(wish, kubeconfig=kubeconfig, progress=progress_for(sys.stderr)))
    click.echo(f"{token}, {_terms(wish)}, until {rfc3339(token.expires)}", err=True)
    click.echo(f"  at {', '.join(map(format_address, token.gateways))}", err=True)
    click.echo(f"next, for the other cluster: {command_line(None, *_next_words(wish))}", err=True)
    click.echo(write_token(token))


async def invite(wish: Wish, *, kubeconfig: Path | None, progress: Progress) -> Token:
    """Check, make an issuer if that is asked for, keep the invitation, and try its door.

    Raises NoIssuer, NotReady, DoorShut, addresses.NoGatewayAddress, and what making an issuer raises.
    """
    async with connect(kubeconfig=kubeconfig, context=wish.context) as client:
        with progress.step(f"{wish.context}: check that it can invite"):
            facts = await read_facts(client, context=wish.context)
            member = facts.member()
            await _check_controller(client, context=wish.context)
            gateways = await _gateways(client, wish=wish)
            ranges = await _ranges(client, facts=facts, wish=wish)
        held, issuer = await _issuer(client, facts=facts, wish=wish, progress=progress)
        now = utc_now().replace(microsecond=0)
        token = Token(
            gateways=gateways[:MOST_GATEWAYS],
            cluster=member.cluster,
            domain=member.domain,
            root=_pinned(held),
            id=os.urandom(ID_SIZE).hex(),
            secret=os.urandom(SECRET_SIZE),
            expires=now + wish.ttl,
            pool=issuer.pool,
            generation=held.generation,
            revision=held.revision,
        )
        write_token(token)  # whatever cannot be said in a token is found before anything is written
        invitation = Invitation(
            key=key_of(token.secret, invitation=token.id).hex(),
            uses=wish.uses,
            expires=rfc3339(token.expires),
            cluster=wish.cluster,
            made=rfc3339(now),
            gateways=gateways,
            network=facts.network if wish.shares_network else "",
            pod_cidrs=ranges,
        )
        await add(client, name=token.id, invitation=invitation, now=now)
        if wish.checks:
            try:
                with progress.step(f"{wish.context}: try the door for newcomers"):
                    await _try_door(token, limit=wish.limit)
            except BaseException:
                # Nobody has the token: it shall not stay open behind our back.
                await remove(client, name=token.id)
                raise
    return token


async def _issuer(
    client: KubeClient, *, facts: Facts, wish: Wish, progress: Progress
) -> tuple[Held, IssuerEntry]:
    """The texts in force, and our issuer in them; made when that was asked for and is needed."""
    member = facts.member()
    held = held_by(facts.bundle)
    found = good_issuer(
        held.statement, holder=member.cluster, now=utc_now(), fresh=wish.trust_folder is not None
    )
    if found is not None:
        return held, found
    if wish.trust_folder is None:
        raise NoIssuer(
            f"{member.cluster} has no issuer's certificate that is good now, and so cannot let anybody in",
            next_step=f"where the root's folder is, run meshctl invite --context {wish.context} --trust DIR",
        )
    with progress.step(f"{wish.context}: make it an issuer"):
        passphrase = asking()
        trust = load_trust_dir(wish.trust_folder, passphrase=passphrase)
        trust = taken(trust, facts=facts, passphrase=passphrase)
        enrolment = Enrolment(client, trust, context=wish.context, cluster=member.cluster, uid=facts.uid)
        await Issuing(enrolment, limit=wish.limit, pool=wish.pool).make()
        held = held_by(await client.get(TRUST_BUNDLES, TRUST_BUNDLE))
    found = good_issuer(held.statement, holder=member.cluster, now=utc_now())
    if found is None:
        raise NoIssuer(
            f"{member.cluster} did not become an issuer",
            next_step=f"see meshctl trust status --context {wish.context} --trust DIR",
        )
    return held, found


def _pinned(held: Held) -> str:
    """The root that the newcomer shall know us by: one that has signed; in a change of roots the next."""
    statement, signed = held.statement, held.signed_statement
    assert statement is not None and signed is not None
    have_signed = signers(signed, kind=Statement, keys=keys_of(root.certificate for root in statement.roots))
    if statement.rotation is not None and statement.rotation.root in have_signed:
        return statement.rotation.root
    return next(root.key for root in statement.roots if root.key in have_signed)


async def _check_controller(client: KubeClient, *, context: str) -> None:
    ready, wanted = readiness(await client.find(DEPLOYMENTS, CONTROLLER, namespace=SYSTEM_NAMESPACE))
    if not ready:
        raise NotReady(
            f"context {context}: {CONTROLLER} is not ready ({ready} of {wanted})",
            next_step=f"look with kubectl --context {context} -n {SYSTEM_NAMESPACE} describe pods",
        )


async def _gateways(client: KubeClient, *, wish: Wish) -> tuple[PeerGateway, ...]:
    if wish.addresses:
        return wish.addresses
    service = await client.get(SERVICES, GATEWAY, namespace=SYSTEM_NAMESPACE)
    nodes = (await client.list(NODES)).items if service.spec.type == "NodePort" else []
    return gateway_addresses(service, nodes=nodes)


async def _ranges(client: KubeClient, *, facts: Facts, wish: Wish) -> tuple[str, ...]:
    if not wish.shares_network:
        return ()
    if not facts.network:
        raise NoIssuer(
            f"context {wish.context} is on a network of its own",
            next_step="leave --same-network away, or join it again with --network NAME",
        )
    return pod_ranges((await client.list(NODES)).items)


async def _try_door(token: Token, *, limit: float) -> None:
    """Return once our controller has answered at one of the token's gateways; raises DoorShut."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    while True:
        try:
            await _first_offer(token)
            return
        except JoinFailed as error:
            if loop.time() >= end:
                raise DoorShut(
                    f"the token would not work: {error.what}",
                    next_step="see that the address is right (--address), and gateway and controller ready "
                    "(meshctl status); or, where only the newcomer can reach it, give --unchecked",
                ) from error
        await asyncio.sleep(_PAUSE)


async def _first_offer(token: Token) -> None:
    failures: list[JoinFailed] = []
    for gateway in token.gateways:
        try:
            await known_offer(gateway, token=token)
            return
        except JoinFailed as error:
            failures.append(error)
    raise failures[0]


async def _list(kubeconfig: Path | None, *, context: str) -> dict[str, Invitation]:
    async with connect(kubeconfig=kubeconfig, context=context) as client:
        return await read_book(client)


async def _revoke(kubeconfig: Path | None, *, context: str, name: str) -> None:
    async with connect(kubeconfig=kubeconfig, context=context) as client:
        await revoke(client, name=name)


def lines_of(book: Mapping[str, Invitation], *, now: datetime) -> Sequence[str]:
    """A line for each invitation, the one that ends last first; pure."""
    if not book:
        return ("no invitations",)
    ordered = sorted(book.items(), key=lambda item: (item[1].expires, item[0]), reverse=True)
    return [_line(name, invitation, now=now) for name, invitation in ordered]


def _line(name: str, invitation: Invitation, *, now: datetime) -> str:
    if invitation.revoked:
        state = "revoked"
    elif has_ended(invitation, now=now):
        state = f"ended {invitation.expires}"
    elif invitation.uses == 0:
        state = "used up"
    else:
        state = f"open until {invitation.expires}, {invitation.uses} left"
    bound = f", for {invitation.cluster} only" if invitation.cluster else ""
    users = ", ".join(f"{use.cluster} ({use.at})" for use in invitation.taken)
    return f"{name}  {state}{bound}; " + (f"used by {users}" if users else "not used")


def _terms(wish: Wish) -> str:
    return f"for {wish.cluster or 'any id'}, {wish.uses} use{'s' if wish.uses > 1 else ''}"


def _next_words(wish: Wish) -> tuple[str, ...]:
    known: ClusterId | str = wish.cluster or "ID"
    return "accept", "TOKEN", "--context", "OTHER_CONTEXT", "--cluster-id", known
