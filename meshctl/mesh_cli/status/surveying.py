"""Asks clusters what `status` shows. Reads only; a cluster that does not answer hides no other."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from mesh_cli.install.rollout import PROGRAMS, readiness
from mesh_cli.member.addresses import format_address
from mesh_cli.member.itself import read_facts
from mesh_cli.status.certificates import certificates_of
from mesh_cli.status.survey import (
    AcknowledgedSeen,
    ExportSeen,
    ImportSeen,
    MemberSeen,
    NotSeen,
    PathSeen,
    PeerSeen,
    Program,
    Survey,
)
from mesh_core.conditions import rfc3339
from mesh_core.contact_lease import acknowledged_of
from mesh_core.errors import MeshError, causes
from mesh_core.membership import Membership, NotAMember
from mesh_core.names import SYSTEM_NAMESPACE, peer_lease_name
from mesh_core.objects import KubernetesObject, Lease, MeshPeer, ServiceExport, ServiceImport
from mesh_core.objects.mesh import PathReport
from mesh_core.peer_identity import IDENTITY_USED_TWICE
from mesh_core.peer_status import CONNECTED, DIAL_AGREED, NETWORK_AGREED, PARTIAL_MESH, RECORDS_ACCEPTED
from mesh_core.reach import REACHABLE, TUNNEL_ACCEPTED
from mesh_runtime.clock import Clock
from mesh_runtime.kube import (
    DEPLOYMENTS,
    LEASES,
    MESH_PEERS,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    ApiError,
    KubeClient,
    Resource,
    connect,
)

T = TypeVar("T", bound=KubernetesObject)
_Peer = tuple[PeerSeen, tuple[PathReport, ...]]
_WANTED = {
    RECORDS_ACCEPTED: "True",
    NETWORK_AGREED: "True",
    DIAL_AGREED: "True",
    REACHABLE: "True",
    TUNNEL_ACCEPTED: "True",
    PARTIAL_MESH: "False",
    IDENTITY_USED_TWICE: "False",
}
"""Conditions of a MeshPeer beside Connected, and what they should be."""


async def survey(contexts: Sequence[str], *, kubeconfig: Path | None, clock: Clock) -> Survey:
    """Ask all `contexts` side by side."""
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_ask(context, kubeconfig=kubeconfig)) for context in contexts]
    return Survey(at=rfc3339(clock()), clusters=tuple(task.result() for task in asked))


async def _ask(context: str, *, kubeconfig: Path | None) -> MemberSeen | NotSeen:
    try:
        async with connect(kubeconfig=kubeconfig, context=context) as client:
            return await see_member(client, context=context)
    except* MeshError as group:
        error = causes(group)[0]
    return NotSeen(context=context, error=str(error))


async def see_member(client: KubeClient, *, context: str) -> MemberSeen:
    """One cluster, asked for all at once; raises a group of ApiError or Unreachable."""
    async with asyncio.TaskGroup() as group:
        wanted_facts = group.create_task(read_facts(client, context=context))
        wanted_version = group.create_task(client.request("GET", "/version"))
        wanted_time = group.create_task(client.time())
        wanted_programs = group.create_task(_programs(client))
        wanted_peers = group.create_task(_peers(client))
        wanted_exports = group.create_task(_sorted(client, SERVICE_EXPORTS))
        wanted_imports = group.create_task(_sorted(client, SERVICE_IMPORTS))
    facts, now = wanted_facts.result(), wanted_time.result()
    cluster = domain = why = ""
    match facts.membership:
        case Membership() as membership:
            cluster, domain = membership.cluster, membership.domain
        case NotAMember(why=reason):
            why = reason
    peers = wanted_peers.result()
    return MemberSeen(
        context=context,
        cluster=cluster,
        domain=domain,
        why=why,
        server_version=str(json.loads(wanted_version.result())["gitVersion"]),
        programs=wanted_programs.result(),
        peers=tuple(peer for peer, _paths in peers),
        exports=tuple(_export(one) for one in wanted_exports.result()),
        imports=tuple(_import(one) for one in wanted_imports.result()),
        at=rfc3339(now),
        certificates=certificates_of(facts.bundle, paths=dict(_named_paths(peers)), now=now),
    )


def _named_paths(peers: Sequence[_Peer]) -> Iterator[tuple[str, tuple[PathReport, ...]]]:
    for peer, paths in peers:
        yield peer.cluster, paths


async def _programs(client: KubeClient) -> tuple[Program, ...]:
    found = {one.metadata.name: one for one in await _sorted(client, DEPLOYMENTS, SYSTEM_NAMESPACE)}
    counts = [(name, readiness(found.get(name))) for name in PROGRAMS]
    return tuple(Program(name=name, ready=ready, wanted=wanted) for name, (ready, wanted) in counts)


async def _peers(client: KubeClient) -> tuple[_Peer, ...]:
    leases = {one.metadata.name: one for one in await _sorted(client, LEASES, SYSTEM_NAMESPACE)}
    return tuple(
        (_peer(one, lease=leases.get(peer_lease_name(cluster=one.metadata.name))), one.status.gateways)
        for one in await _sorted(client, MESH_PEERS)
    )


async def _sorted(client: KubeClient, resource: Resource[T], namespace: str = "") -> list[T]:
    """All objects by namespace and name; none when the kind is not installed."""
    try:
        page = await client.list(resource, namespace=namespace)
    except ApiError as error:
        if error.is_not_found:
            return []
        raise
    return sorted(page.items, key=lambda item: item.key)


def _peer(peer: MeshPeer, *, lease: Lease | None) -> PeerSeen:
    acknowledged = acknowledged_of(lease) if lease is not None else None
    conditions = {one.type: one for one in peer.status.conditions}
    return PeerSeen(
        cluster=peer.metadata.name,
        gateways=tuple(format_address(gateway) for gateway in peer.spec.gateways),
        connected=conditions.get(CONNECTED),
        exports=peer.status.exports,
        last_sync=peer.status.last_sync,
        last_contact=(lease.spec.renew_time or "") if lease is not None else "",
        acknowledged=AcknowledgedSeen(acknowledged.revision, rfc3339(acknowledged.at))
        if acknowledged is not None
        else None,
        paths=tuple(_path(one) for one in peer.status.gateways),
        complaints=tuple(
            found
            for kind, wanted in _WANTED.items()
            if (found := conditions.get(kind)) is not None and found.status != wanted
        ),
    )


def _path(one: PathReport) -> PathSeen:
    rtt = one.rtt_microseconds / 1_000_000 if one.rtt_microseconds > 0 else None
    return PathSeen(one.address, one.reachable, one.tunnel, rtt, one.problem)


def _export(export: ServiceExport) -> ExportSeen:
    return ExportSeen(
        namespace=export.metadata.namespace,
        name=export.metadata.name,
        conditions=export.status.conditions,
    )


def _import(one: ServiceImport) -> ImportSeen:
    return ImportSeen(
        namespace=one.metadata.namespace,
        name=one.metadata.name,
        type=one.spec.type,
        ips=one.spec.ips,
        ports=tuple(f"{port.port}/{port.protocol}" for port in one.spec.ports),
        clusters=tuple(sorted(entry.cluster for entry in one.status.clusters)),
        conditions=one.status.conditions,
    )
