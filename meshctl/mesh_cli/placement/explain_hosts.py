"""`meshctl explain hosts`: whether what a Placement brings can be had by its business host names.

The hub says which names its members are given and where their gateways are; a TLS client here says what a
client finds there. Nothing is written.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from mesh_cli.clusters.one import hub_client, registration
from mesh_cli.contexts import context_option
from mesh_cli.member.addresses import BadAddress, format_address, parse_address
from mesh_cli.output import Form, as_json, output_option, show
from mesh_cli.placement.explain_placement import placement_key
from mesh_cli.placement.hosts_trying import Target, client_context, handshakes
from mesh_cli.placement.hosts_verdict import Found, Verdict
from mesh_cli.placement.placements_survey import NoPlacement
from mesh_cli.session import run
from mesh_cli.table import table
from mesh_core.conditions import rfc3339
from mesh_core.errors import UserError
from mesh_core.objects import PeerGateway
from mesh_placement.decide.assigning import name_of
from mesh_placement.decide.host_names import HostNames, host_names
from mesh_placement.objects import ClusterRegistration, Placement
from mesh_placement.resources import ASSIGNMENTS, PLACEMENTS, WORKS
from mesh_placement.schedule.said import one_line
from mesh_runtime.kube import KubeClient

MOST_GATEWAYS: Final = 2
"""Of one cluster's gateways so many are tried."""
_HEAD = ("HOST", "CLUSTER", "AT", "VERDICT", "WHY")
_NO_GATEWAY = Found(
    Verdict.NO_GATEWAY, "it tells of no gateway; see that it is in a mesh, with meshctl status"
)

_NOTHING_YET = HostNames((), ("nothing was given to it yet; ask again in a moment",))


class NoHostNames(UserError):
    """Nothing that the Placement brings asks for a name."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where} brings no host name to any cluster",
            next_step="annotate a ServiceExport in it with meshctl.dev/public: <port>=<DNS name>",
        )


@dataclass(frozen=True, slots=True)
class Member:
    """A cluster in which the Placement is."""

    cluster: str
    gateways: tuple[PeerGateway, ...]
    hosts: HostNames


@dataclass(frozen=True, slots=True)
class Row:
    """What was found of a host at an address ("": nowhere to ask)."""

    host: str
    cluster: str
    address: str
    found: Found


@click.command("hosts")
@click.argument("placement", metavar="NAMESPACE/NAME")
@context_option("the hub")
@click.option("--cluster", default="", metavar="CLUSTER", help="At this cluster's gateways alone.")
@click.option(
    "--through",
    multiple=True,
    metavar="HOST:PORT",
    help="Ask there too, for every name: a load balancer, a gateway in front; may be given again.",
)
@click.option(
    "--ca-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="CAs (PEM) that clients of the application believe; by default this machine's.",
)
@output_option
@click.pass_obj
def command(
    kubeconfig: Path | None,
    placement: str,
    context: str | None,
    cluster: str,
    through: tuple[str, ...],
    ca_file: Path | None,
    output: Form,
) -> int:
    """Ask for each host name of PLACEMENT where it is, as a client does.

    Names are those of meshctl.dev/public on the ServiceExports that it brings. Ends with 1 unless
    all are good.
    """
    key, fronts = placement_key(placement), tuple(parse_address(text) for text in through)
    rows, faults = run(
        _ask(kubeconfig, context=context, key=key, cluster=cluster, fronts=fronts, ca_file=ca_file)
    )
    show(output, json=lambda: rows_as_json(rows, faults), table=lambda: as_text(rows, faults))
    return int(bool(faults) or any(one.found.verdict is not Verdict.GOOD for one in rows))


def targets(members: Sequence[Member], *, fronts: Sequence[PeerGateway]) -> list[Target]:
    """Whom to ask for what: members for what they were given, `fronts` for all of it."""
    listed = [
        Target(name.host, member.cluster, address)
        for member in members
        for name in member.hosts.names
        for address in member.gateways[:MOST_GATEWAYS]
    ]
    hosts = sorted({name.host for member in members for name in member.hosts.names})
    return listed + [Target(host, "", address) for host in hosts for address in fronts]


def as_text(rows: Sequence[Row], faults: Iterable[str]) -> str:
    """A line for each, then what is wrong with the manifests."""
    cells = [(one.host, one.cluster, one.address, one.found.verdict.value, one.found.why) for one in rows]
    notes = "".join(f"{fault}\n" for fault in faults)
    return (table(_HEAD, cells) + "\n" if cells else "") + (f"\n{notes}" if notes and cells else notes)


def rows_as_json(rows: Sequence[Row], faults: Iterable[str]) -> str:
    """The same for programs; keys are only ever added."""
    hosts = [
        {
            "host": one.host,
            "cluster": one.cluster or None,
            "address": one.address or None,
            "verdict": one.found.verdict.value,
            "why": one.found.why,
            "notAfter": rfc3339(one.found.ends) if one.found.ends is not None else None,
        }
        for one in rows
    ]
    return as_json({"hosts": hosts, "faults": list(faults)})


async def _ask(
    kubeconfig: Path | None,
    *,
    context: str | None,
    key: tuple[str, str],
    cluster: str,
    fronts: Sequence[PeerGateway],
    ca_file: Path | None,
) -> tuple[list[Row], list[str]]:
    client_side = client_context(ca_file)
    async with hub_client(kubeconfig, context=context) as client:
        members = await read_members(client, key=key, cluster=cluster)
    faults = [f"{one.cluster}: {one_line(fault)}" for one in members for fault in one.hosts.faults]
    if not faults and not any(one.hosts.names for one in members):
        raise NoHostNames("/".join(key))
    wanted = targets(members, fronts=fronts)
    found = await handshakes(wanted, context=client_side)
    rows = [
        Row(one.host, one.cluster, format_address(one.address), what)
        for one, what in zip(wanted, found, strict=True)
    ]
    missing = [
        Row(name.host, one.cluster, "", _NO_GATEWAY)
        for one in members
        if not one.gateways
        for name in one.hosts.names
    ]
    return sorted(rows + missing, key=lambda one: (one.host, one.cluster, one.address)), faults


async def read_members(client: KubeClient, *, key: tuple[str, str], cluster: str) -> list[Member]:
    """The clusters in which the Placement is, or that one of them. Raises NoPlacement, UserError."""
    namespace, name = key
    placement = await client.find(PLACEMENTS, name, namespace=namespace)
    if placement is None:
        raise NoPlacement("/".join(key))
    there = [one.cluster for one in placement.status.clusters if cluster in ("", one.cluster)]
    if not there:
        raise UserError(
            f"{namespace}/{name} is not in {cluster or 'any cluster'}",
            next_step=f"see why with meshctl explain placement {namespace}/{name}",
        )
    return [await _member(client, placement=placement, cluster=one) for one in there]


async def _member(client: KubeClient, *, placement: Placement, cluster: str) -> Member:
    found = await registration(client, cluster)
    space = found.status.namespace
    gateways = _gateways(found)
    assignment = await client.find(ASSIGNMENTS, name_of(placement), namespace=space) if space else None
    if assignment is None:
        return Member(cluster, gateways, _NOTHING_YET)
    works = [await client.find(WORKS, work, namespace=space) for work in assignment.spec.works]
    manifests = [each for work in works if work is not None for each in work.spec.workload.manifests]
    return Member(cluster, gateways, host_names(manifests, overrides=assignment.spec.overrides))


def _gateways(found: ClusterRegistration) -> tuple[PeerGateway, ...]:
    """What the member tells of them, without what is no address."""
    addresses = []
    for one in found.status.agent.network.gateways:
        with suppress(BadAddress):
            addresses.append(parse_address(format_address(PeerGateway(host=one.host, port=one.port))))
    return tuple(addresses)
