"""`meshctl accept`: a cluster becomes a member by the token of an invitation (docs/decisions/0023).

The command only writes down what is wanted. Keys are made in the cluster, whose controller comes in by
itself; how far it is stands in the TrustBundle. So `--dry-run -o yaml` gives GitOps all there is to it.
"""

import asyncio
import sys
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

import click

from mesh_cli.contexts import context_option
from mesh_cli.dns.cluster_dns import Stub, add_stub, dns_lines
from mesh_cli.install.manifests import manifests_for
from mesh_cli.install.plan import plan_for
from mesh_cli.install.rollout import wait_until_running, why_not
from mesh_cli.install.shape import Shape, ShapeWish, shape_options, shape_wish
from mesh_cli.member.accept_objects import Acceptance, as_yaml
from mesh_cli.member.addresses import NoGatewayAddress, format_address, gateway_addresses, parse_address
from mesh_cli.member.admission import JoinRefused, check_standing
from mesh_cli.member.itself import Facts, read_facts
from mesh_cli.member.networks import parse_network, parse_ranges, pod_ranges
from mesh_cli.session import FIELD_MANAGER, command_line, run
from mesh_cli.timeout_option import timeout_option
from mesh_cli.trust.options import check_output, printing_options
from mesh_core.conditions import rfc3339
from mesh_core.errors import Fault, MeshError
from mesh_core.identity import ClusterId, cluster_id
from mesh_core.invitation_token import BadToken, Token, read_token
from mesh_core.join_order import JOINING, found_condition, is_final
from mesh_core.join_wire import JoinCode, JoinFailed
from mesh_core.names import CLUSTERSET_ZONE, GATEWAY, JOIN_TOKEN_SECRET, SYSTEM_NAMESPACE, TRUST_BUNDLE
from mesh_core.objects import Condition, PeerGateway, Service, TrustBundle
from mesh_core.trust_statement import held_by
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import (
    CLUSTER_PROPERTIES,
    NODES,
    SECRETS,
    SERVICES,
    TRUST_BUNDLES,
    Informer,
    KubeClient,
    connect,
    current_context,
)
from mesh_runtime.progress import Progress, Step, progress_for
from mesh_runtime.sighting import sighting

ACCEPT_MANAGER = f"{FIELD_MANAGER}-accept"
"""Owner of what pins the root: others write the rest of the same object."""
_ADDRESS_LIMIT = 60.0
_LOOK_LIMIT = 30.0
"""Seconds for the controller to look again at a token that it was given before."""
_SKEW = timedelta(minutes=5)


class NotIn(MeshError):
    """The controller has not come in."""

    def __init__(self, what: str, *, next_step: str, fault: Fault) -> None:
        super().__init__(what, next_step=next_step)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for; `gateways` None takes the addresses of the gateway's Service."""

    context: str
    acceptance: Acceptance
    image: str | None
    shape: ShapeWish
    limit: float
    beside_others: bool
    dns_stub: bool = False


@click.command("accept")
@click.argument("token", required=False)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File to read the token from, in place of TOKEN.",
)
@context_option("the newcomer")
@click.option("--cluster-id", "name", required=True, metavar="ID", help="Its name for life: one DNS label.")
@click.option("--image", metavar="IMAGE", help="Image of the programs, in place of this version's own.")
@shape_options
@click.option("--network", metavar="NAME", help="Network that it shares with the inviter; by default none.")
@click.option("--pod-cidr", "pod_cidrs", multiple=True, metavar="CIDR", help="Where its pods lie there.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="HOST:PORT",
    help="Where peers reach its gateway; by default as the Service says.",
)
@click.option(
    "--dial", type=click.Choice(["both", "outbound"]), help="outbound: nobody can dial it, it dials."
)
@click.option(
    "--beside-others", is_flag=True, help="Although another implementation has ServiceImports here."
)
@click.option("--dns-stub", is_flag=True, help="Also where CoreDNS answers the zone itself (multicluster).")
@printing_options("Change nothing and ask nobody: print the objects.")
@timeout_option("How long to wait until it is in and the programs run.", default=180.0)
@click.pass_obj
def command(
    kubeconfig: Path | None,
    token: str | None,
    token_file: Path | None,
    context: str | None,
    name: str,
    image: str | None,
    service_type: str | None,
    adds: tuple[str, ...],
    drops: tuple[str, ...],
    no_install: bool,
    network: str | None,
    pod_cidrs: tuple[str, ...],
    addresses: tuple[str, ...],
    dial: Literal["both", "outbound"] | None,
    beside_others: bool,
    dns_stub: bool,
    dry_run: bool,
    output: str | None,
    timeout: float,
) -> None:
    """Make a cluster a member by the TOKEN of an invitation (see `meshctl invite`).

    No kubeconfig of another cluster is needed, and no private key leaves this one. With - for TOKEN it is
    read from standard input: others on this machine may see the words of a command.
    """
    check_output(dry_run=dry_run, output=output)
    text = "".join(_given(token, file=token_file).split())
    given = tuple(dict.fromkeys(map(parse_address, addresses)))
    acceptance = Acceptance(
        token=read_token(text),
        text=text,
        cluster=cluster_id(name),
        network=parse_network(network) if network is not None else None,
        gateways=() if dial == "outbound" else given or None,
        pod_ranges=parse_ranges(pod_cidrs),
    )
    shape = shape_wish(service_type, adds, drops, no_install=no_install, image=image)
    if dry_run:
        manifests = [] if no_install else manifests_for(shape.of(Shape()), image=image)
        click.echo(as_yaml(manifests, acceptance), nl=False)
        return
    wish = Wish(
        context=context or current_context(kubeconfig=kubeconfig),
        acceptance=acceptance,
        image=image,
        shape=shape,
        limit=timeout,
        beside_others=beside_others,
        dns_stub=dns_stub,
    )
    done, stub = run(accept(wish, kubeconfig=kubeconfig, progress=progress_for(sys.stderr)))
    click.echo("\n".join(report(wish, done, stub)))
    click.echo(f"next: {command_line(kubeconfig, 'status', '--context', wish.context)}")


def _given(token: str | None, *, file: Path | None) -> str:
    """The token as text, from wherever it was given; raises click.UsageError and BadToken."""
    if (token is None) is (file is None):
        raise click.UsageError("give the token once: as TOKEN, as - for standard input, or by --token-file")
    try:
        if file is not None:
            return file.read_text()
        return sys.stdin.read() if token == "-" else token or ""
    except UnicodeError as error:
        raise BadToken("this is no token of an invitation") from error


async def accept(wish: Wish, *, kubeconfig: Path | None, progress: Progress) -> tuple[Acceptance, Stub]:
    """Check, install, and wait until the controller has come in and all programs run.

    What was said of the cluster in the end, and of its DNS. Raises JoinFailed, JoinRefused, NotIn and
    rollout.NotRunning.
    """
    token, cluster = wish.acceptance.token, wish.acceptance.cluster
    check_time(token)
    async with connect(kubeconfig=kubeconfig, context=wish.context) as client:
        with progress.step(f"{wish.context}: check that it can be {cluster}"):
            facts = await read_facts(client, context=wish.context)
            check_invited(facts, cluster=cluster, token=token, beside_others=wish.beside_others)
        plan = await plan_for(client, wish.shape, image=wish.image, context=wish.context)
        await plan.install_kinds(client, progress=progress)
        with progress.step(
            f"{wish.context}: {'install the programs' if plan.installs else 'say whom it trusts'}"
        ):
            for body in wish.acceptance.properties:
                await client.apply(CLUSTER_PROPERTIES, body, field_manager=FIELD_MANAGER)
            if facts.bundle is None or not facts.bundle.spec.pool:
                # Whoever admits it for good takes the pool away again, as the same owner.
                await client.apply(TRUST_BUNDLES, wish.acceptance.bundle, field_manager=FIELD_MANAGER)
            await client.apply(TRUST_BUNDLES, wish.acceptance.pin, field_manager=ACCEPT_MANAGER)
            await plan.install_programs(client)
        with progress.step(f"{wish.context}: find where it can be dialled"):
            done = await _placed(client, wish.acceptance, facts=facts)
        with progress.step(f"{wish.context}: come in by the {token}") as step:
            before = found_condition(await client.find(TRUST_BUNDLES, TRUST_BUNDLE), token=token)
            await _place_order(client, done)
            await _until_in(client, token=token, before=before, limit=wish.limit, step=step)
        with progress.step(f"{wish.context}: wait for the programs") as step:
            await wait_until_running(client, context=wish.context, limit=wish.limit, step=step)
        with progress.step(f"{wish.context}: make cluster DNS forward {CLUSTERSET_ZONE}"):
            return done, await add_stub(client, beside_multicluster=wish.dns_stub)


def check_time(token: Token) -> None:
    """Raises JoinFailed for a token whose time is over even if this machine's clock is five minutes ahead."""
    now = utc_now()
    if now > token.expires + _SKEW:
        raise JoinFailed(
            JoinCode.INVITATION_EXPIRED,
            f"the invitation ended at {rfc3339(token.expires)}; it is {rfc3339(now)} by this machine's clock",
            next_step=f"ask for a new token (meshctl invite, for {token.cluster})",
        )


def check_invited(facts: Facts, *, cluster: ClusterId, token: Token, beside_others: bool) -> None:
    """Raises JoinRefused unless the cluster may come in by that token."""
    if cluster == token.cluster:
        raise JoinRefused(
            f"{cluster} is the id of the inviter", next_step="choose another --cluster-id for this cluster"
        )
    check_standing(facts, cluster=cluster, domain=token.domain, beside_others=beside_others)
    if facts.bundle is None:
        return
    spec = facts.bundle.spec
    if spec.domain != token.domain:
        raise JoinRefused(
            f"context {facts.context} trusts the clusterset {spec.domain}, the token is for {token.domain}",
            next_step="use a token of its own clusterset, or meshctl leave first",
        )
    statement = held_by(facts.bundle).statement
    if not spec.pool and (statement is not None or spec.roots):
        raise JoinRefused(
            f"context {facts.context} is a member already, admitted by the root itself",
            next_step=f"make {token.cluster} its peer: meshctl link, or meshctl peer add on both sides",
        )
    if spec.pool and spec.pool != token.pool:
        raise JoinRefused(
            f"context {facts.context} came in by another inviter (pool {spec.pool})",
            next_step="ask that one for a token, or have the root admit it: meshctl trust approve",
        )
    if statement is not None and token.root not in {root.key for root in statement.roots}:
        raise JoinRefused(
            f"context {facts.context} knows other roots than the one that the token names",
            next_step="compare meshctl trust status of both; a root changes by meshctl trust rotate, not by "
            "a token (or meshctl leave first)",
        )


async def _placed(client: KubeClient, acceptance: Acceptance, *, facts: Facts) -> Acceptance:
    """With the addresses at which it can be dialled, and on a network the ranges of its pods."""
    gateways = acceptance.gateways
    if gateways is None:
        gateways = await _addresses(client)
    ranges = acceptance.pod_ranges
    if not ranges and (acceptance.network or facts.network):
        ranges = pod_ranges((await client.list(NODES)).items)
    return replace(acceptance, gateways=gateways, pod_ranges=ranges)


async def _addresses(client: KubeClient) -> tuple[PeerGateway, ...]:
    """Those of the gateway's Service, as soon as it has one; raises NoGatewayAddress."""
    informer = Informer(client, SERVICES, namespace=SYSTEM_NAMESPACE, fields=f"metadata.name={GATEWAY}")

    def look() -> Service | None:
        service = informer.get(GATEWAY, namespace=SYSTEM_NAMESPACE)
        if service is None or service.spec.type != "LoadBalancer":
            return service
        return service if service.status.load_balancer.ingress else None

    service = await sighting(informer, look=look, limit=_ADDRESS_LIMIT)
    if service is None:
        raise NoGatewayAddress(
            "the gateway's load balancer has got no address",
            next_step="accept again with --address HOST:PORT, or with --dial outbound if nobody can dial it",
        )
    nodes = (await client.list(NODES)).items if service.spec.type == "NodePort" else []
    return gateway_addresses(service, nodes=nodes)


async def _place_order(client: KubeClient, done: Acceptance) -> None:
    """Give the controller its token: anew, because it is done with one that was refused."""
    given = await client.find(SECRETS, JOIN_TOKEN_SECRET, namespace=SYSTEM_NAMESPACE)
    if given is not None:
        await client.delete(SECRETS, JOIN_TOKEN_SECRET, namespace=SYSTEM_NAMESPACE, uid=given.metadata.uid)
    await client.apply(SECRETS, done.order, field_manager=FIELD_MANAGER)


async def _until_in(
    client: KubeClient, *, token: Token, before: Condition | None, limit: float, step: Step
) -> None:
    """Until the controller says what became of the token; raises NotIn.

    `before` is what it said of the same token at an earlier try: no answer until it has looked again.
    """

    def bundles() -> Informer[TrustBundle]:
        return Informer(client, TRUST_BUNDLES, fields=f"metadata.name={TRUST_BUNDLE}")

    end = asyncio.get_running_loop().time() + limit
    if before is not None:
        seen = bundles()

        def has_looked() -> bool | None:
            return True if found_condition(seen.get(TRUST_BUNDLE), token=token) != before else None

        await sighting(seen, look=has_looked, limit=min(limit, _LOOK_LIMIT))
    informer = bundles()

    def look() -> Condition | None:
        found = found_condition(informer.get(TRUST_BUNDLE), token=token)
        step.update(f"{found.reason}: {found.message}" if found else "no controller has looked yet")
        return found if found is not None and is_final(found) else None

    left = max(end - asyncio.get_running_loop().time(), 1.0) if before is not None else limit
    found = await sighting(informer, look=look, limit=left)
    if found is not None and found.status == "True":
        return
    raise _not_in(
        found or found_condition(informer.get(TRUST_BUNDLE), token=token),
        waited=limit,
        why=await why_not(client),
    )


def report(wish: Wish, done: Acceptance, stub: Stub) -> list[str]:
    """What was done, line by line; pure."""
    token = done.token
    where = ", ".join(map(format_address, done.gateways or ()))
    lines = [
        f"{done.cluster} is a member of {token.domain} (context {wish.context}), let in by {token.cluster}",
        f"  gateway: {where or 'not dialled by others; it dials'}",
        f"  peer of {token.cluster}; for every other member: meshctl link, or meshctl peer add on both sides",
    ]
    return lines + dns_lines(stub, context=wish.context)


def _not_in(found: Condition | None, *, waited: float, why: list[str]) -> NotIn:
    if found is None or found.reason == JOINING:
        pods = f" ({'; '.join(why)})" if why else ""
        return NotIn(
            f"the controller has said nothing of the token for {waited:.0f} s{pods}",
            next_step=f"look with kubectl -n {SYSTEM_NAMESPACE} describe pods, then accept again",
            fault=Fault.ENVIRONMENT,
        )
    code = next((one for one in JoinCode if one.value == found.reason), JoinCode.UNREACHABLE)
    words = found.message.rpartition(" (invitation ")[0]
    what, _, step = words.rpartition("; ")
    last = "" if is_final(found) else f" (tried for {waited:.0f} s)"
    error = JoinFailed(code, what or words, next_step=step or "accept again")
    return NotIn(f"{code.value}: {error.what}{last}", next_step=error.next_step, fault=error.fault)
