"""`meshctl join`: a cluster becomes a member of the clusterset.

Everything is checked before anything is written, and every step may be repeated: joining again repairs
and upgrades, and changes nothing that is right.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import click

from mesh_cli.contexts import context_option
from mesh_cli.dns.cluster_dns import Stub, add_stub, dns_lines
from mesh_cli.install.plan import plan_for
from mesh_cli.install.shape import ShapeWish, shape_options, shape_wish
from mesh_cli.install.startup import start_programs
from mesh_cli.member.addresses import NoGatewayAddress, format_address, gateway_addresses
from mesh_cli.member.admission import check_newcomer, property_bodies
from mesh_cli.member.itself import Facts, read_facts
from mesh_cli.member.networks import parse_network
from mesh_cli.session import FIELD_MANAGER, command_line, run
from mesh_cli.timeout_option import timeout_option
from mesh_cli.trust.enrolment import Enrolment, enrolled, taken
from mesh_cli.trust.passphrase import asking
from mesh_core.identity import ClusterId, cluster_id
from mesh_core.names import ANNOTATION_LEAVING, CLUSTERSET_ZONE, GATEWAY, SYSTEM_NAMESPACE, TRUST_BUNDLE
from mesh_core.objects import PeerGateway
from mesh_runtime.kube import (
    CLUSTER_PROPERTIES,
    NODES,
    SERVICES,
    TRUST_BUNDLES,
    KubeClient,
    connect,
    current_context,
)
from mesh_runtime.progress import Progress, progress_for
from mesh_runtime.trust_book import unknown_members
from mesh_runtime.trust_dir import PublicTrust, load_trust_dir, record_member


@dataclass(frozen=True, slots=True)
class Newcomer:
    """What was asked for.

    `network` None leaves what the cluster says of its network as it is.
    """

    context: str
    cluster: ClusterId
    trust_folder: Path
    image: str | None
    shape: ShapeWish
    limit: float
    network: str | None = None
    beside_others: bool = False
    dns_stub: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """What was done; `definitions` are the kinds that were installed or upgraded.

    `unknown` are members without which there is no roster yet.
    """

    trust: PublicTrust
    definitions: tuple[str, ...]
    signed: bool
    stub: Stub
    gateways: tuple[PeerGateway, ...]
    unknown: tuple[ClusterId, ...] = ()


@click.command("join")
@context_option()
@click.option("--cluster-id", "name", required=True, metavar="ID", help="Its name for life: one DNS label.")
@click.option(
    "--trust",
    "trust_folder",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder that meshctl trust init made.",
)
@click.option("--image", metavar="IMAGE", help="Image of the programs, in place of this version's own.")
@shape_options
@click.option(
    "--network",
    metavar="NAME",
    help="Network whose clusters route pod addresses to each other; by default as it is, at first its own.",
)
@click.option(
    "--beside-others",
    is_flag=True,
    help="Join although another implementation has ServiceImports here; they are left alone.",
)
@click.option("--dns-stub", is_flag=True, help="Also where CoreDNS answers the zone itself (multicluster).")
@timeout_option("How long to wait until the programs run.", default=180.0)
@click.pass_obj
def command(
    kubeconfig: Path | None,
    context: str | None,
    name: str,
    trust_folder: Path,
    image: str | None,
    service_type: str | None,
    adds: tuple[str, ...],
    drops: tuple[str, ...],
    no_install: bool,
    network: str | None,
    beside_others: bool,
    dns_stub: bool,
    timeout: float,
) -> None:
    """Make a cluster a member of the clusterset. Running it again repairs and upgrades."""
    newcomer = Newcomer(
        context=context or current_context(kubeconfig=kubeconfig),
        cluster=cluster_id(name),
        trust_folder=trust_folder,
        image=image,
        shape=shape_wish(service_type, adds, drops, no_install=no_install, image=image),
        limit=timeout,
        network=parse_network(network) if network is not None else None,
        beside_others=beside_others,
        dns_stub=dns_stub,
    )
    joined = run(join(newcomer, kubeconfig=kubeconfig, progress=progress_for(sys.stderr)))
    click.echo("\n".join(report(newcomer, joined)))
    click.echo(f"next: {command_line(kubeconfig, *_next_words(newcomer, joined.trust))}")


async def join(newcomer: Newcomer, *, kubeconfig: Path | None, progress: Progress) -> Joined:
    """Check, install, sign, wait, and make cluster DNS ask ours; raises MeshErrors of every step."""
    passphrase = asking()
    trust = load_trust_dir(newcomer.trust_folder, passphrase=passphrase)
    async with connect(kubeconfig=kubeconfig, context=newcomer.context) as client:
        with progress.step(f"{newcomer.context}: check that it can be {newcomer.cluster}"):
            facts = await read_facts(client, context=newcomer.context)
            check_newcomer(facts, cluster=newcomer.cluster, trust=trust, beside_others=newcomer.beside_others)
            trust = taken(trust, facts=facts, passphrase=passphrase)
            check_newcomer(facts, cluster=newcomer.cluster, trust=trust, beside_others=newcomer.beside_others)
        plan = await plan_for(client, newcomer.shape, image=newcomer.image, context=newcomer.context)
        definitions = await plan.install_kinds(client, progress=progress)
        known = record_member(newcomer.trust_folder, cluster=newcomer.cluster, uid=facts.uid)
        enrolment = Enrolment(
            client, trust, context=newcomer.context, cluster=newcomer.cluster, uid=facts.uid
        )
        with progress.step(
            f"{newcomer.context}: {'install the programs' if plan.installs else 'say whom it trusts'}"
        ):
            for body in property_bodies(
                cluster=newcomer.cluster, domain=trust.domain, network=newcomer.network
            ):
                await client.apply(CLUSTER_PROPERTIES, body, field_manager=FIELD_MANAGER)
            await enrolment.publish(known)
            await _stay(client, facts)
            await plan.install_programs(client)
        signed = await start_programs(enrolment, limit=newcomer.limit, progress=progress)
        known = await enrolled(enrolment)
        with progress.step(f"{newcomer.context}: make cluster DNS forward {CLUSTERSET_ZONE}"):
            found = await add_stub(client, beside_multicluster=newcomer.dns_stub)
        gateways = await _gateways(client)
    return Joined(known, definitions, signed, found, gateways, unknown=unknown_members(known))


async def _stay(client: KubeClient, facts: Facts) -> None:
    """Take back that the cluster leaves, if it was about to."""
    if facts.bundle is not None and ANNOTATION_LEAVING in facts.bundle.metadata.annotations:
        body = {"metadata": {"annotations": {ANNOTATION_LEAVING: None}}}
        await client.merge_patch(TRUST_BUNDLES, TRUST_BUNDLE, body)


async def _gateways(client: KubeClient) -> tuple[PeerGateway, ...]:
    service = await client.get(SERVICES, GATEWAY, namespace=SYSTEM_NAMESPACE)
    try:
        return gateway_addresses(service, nodes=(await client.list(NODES)).items)
    except NoGatewayAddress:
        # A load balancer may take its time; `link` says so when it needs the address.
        return ()


def report(newcomer: Newcomer, joined: Joined) -> list[str]:
    """What was done, line by line; pure."""
    lines = [f"{newcomer.cluster} is a member of {joined.trust.domain} (context {newcomer.context})"]
    lines += [f"  installed {name}" for name in joined.definitions]
    lines += ["  signed its intermediate certificate"] if joined.signed else []
    lines += _roster_lines(joined)
    addresses = ", ".join(map(format_address, joined.gateways))
    lines += [f"  gateway: {addresses or 'no address yet'}"]
    return lines + dns_lines(joined.stub, context=newcomer.context)


def _roster_lines(joined: Joined) -> list[str]:
    statement = joined.trust.held.statement
    if statement is None:
        return [
            f"  no roster yet: the keys of {', '.join(joined.unknown)} are not known; join them again, or "
            "evict those that are no more with meshctl trust evict"
        ]
    return [f"  roster: generation {statement.generation}, {len(statement.roster)} members"]


def _next_words(newcomer: Newcomer, trust: PublicTrust) -> tuple[str, ...]:
    if trust.members.keys() - {newcomer.cluster}:
        return "link", newcomer.context, "OTHER_CONTEXT"
    folder = str(newcomer.trust_folder)
    return "join", "--context", "OTHER_CONTEXT", "--cluster-id", "OTHER_ID", "--trust", folder
