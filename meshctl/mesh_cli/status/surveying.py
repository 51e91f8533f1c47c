"""Asks clusters what `status` shows. Reads only; a cluster that does not answer hides no other."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from mesh_cli.install.rollout import PROGRAMS, readiness
from mesh_cli.member.addresses import format_address
from mesh_cli.member.itself import read_facts
from mesh_cli.status.survey import ExportSeen, ImportSeen, MemberSeen, NotSeen, PeerSeen, Program, Survey
from mesh_core.errors import MeshError
from mesh_core.membership import Membership, NotAMember
from mesh_core.names import SYSTEM_NAMESPACE, peer_lease_name
from mesh_core.objects import KubernetesObject, MeshPeer, ServiceExport, ServiceImport
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


async def survey(contexts: Sequence[str], *, kubeconfig: Path | None, clock: Clock) -> Survey:
    """Ask all `contexts` side by side."""
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_ask(context, kubeconfig=kubeconfig)) for context in contexts]
    at = clock().replace(microsecond=0).isoformat().replace("+00:00", "Z")
    return Survey(at=at, clusters=tuple(task.result() for task in asked))


async def _ask(context: str, *, kubeconfig: Path | None) -> MemberSeen | NotSeen:
    try:
        async with connect(kubeconfig=kubeconfig, context=context) as client:
            return await see_member(client, context=context)
    except MeshError as error:
        return NotSeen(context=context, error=str(error))


async def see_member(client: KubeClient, *, context: str) -> MemberSeen:
    """One cluster; raises ApiError or Unreachable."""
    facts = await read_facts(client, context=context)
    version = json.loads(await client.request("GET", "/version"))
    cluster = domain = why = ""
    match facts.membership:
        case Membership() as membership:
            cluster, domain = membership.cluster, membership.domain
        case NotAMember(why=reason):
            why = reason
    return MemberSeen(
        context=context,
        cluster=cluster,
        domain=domain,
        why=why,
        server_version=str(version["gitVersion"]),
        programs=await _programs(client),
        peers=await _peers(client),
        exports=tuple(_export(one) for one in await _sorted(client, SERVICE_EXPORTS)),
        imports=tuple(_import(one) for one in await _sorted(client, SERVICE_IMPORTS)),
    )


async def _programs(client: KubeClient) -> tuple[Program, ...]:
    found = {one.metadata.name: one for one in await _sorted(client, DEPLOYMENTS, SYSTEM_NAMESPACE)}
    counts = [(name, readiness(found.get(name))) for name in PROGRAMS]
    return tuple(Program(name=name, ready=ready, wanted=wanted) for name, (ready, wanted) in counts)


async def _peers(client: KubeClient) -> tuple[PeerSeen, ...]:
    leases = await _sorted(client, LEASES, SYSTEM_NAMESPACE)
    contacts = {lease.metadata.name: lease.spec.renew_time or "" for lease in leases}
    return tuple(_peer(one, contacts=contacts) for one in await _sorted(client, MESH_PEERS))


async def _sorted(client: KubeClient, resource: Resource[T], namespace: str = "") -> list[T]:
    """All objects by namespace and name; none when the kind is not installed."""
    try:
        page = await client.list(resource, namespace=namespace)
    except ApiError as error:
        if error.is_not_found:
            return []
        raise
    return sorted(page.items, key=lambda item: item.key)


def _peer(peer: MeshPeer, *, contacts: dict[str, str]) -> PeerSeen:
    name = peer.metadata.name
    return PeerSeen(
        cluster=name,
        gateways=tuple(format_address(gateway) for gateway in peer.spec.gateways),
        connected=next((one for one in peer.status.conditions if one.type == "Connected"), None),
        exports=peer.status.exports,
        last_sync=peer.status.last_sync,
        last_contact=contacts.get(peer_lease_name(cluster=name), ""),
    )


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
