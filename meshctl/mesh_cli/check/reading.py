"""Reads what `check` goes by: all parts side by side, each within its time, none hiding another.

Three rounds, each with a limit: is anybody there; everything in the API; handshakes with whoever the API
names, from here and from a gateway, and a name of the zone. Nothing is written, and no Secret's content is
read.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct

from mesh_cli.check.asking import own_rights, rules
from mesh_cli.check.dialling import DIAL_LIMIT, name_resolved, ways_tried
from mesh_cli.check.endpoints import ports_of
from mesh_cli.check.findings import (
    Findings,
    Handshake,
    Member,
    OurNamespace,
    PodSeen,
    RecordSeen,
    SecretSeen,
    ServedKind,
    nothing_seen,
)
from mesh_cli.check.handshake import handshakes, targets
from mesh_cli.check.hub_reading import hub_seen
from mesh_cli.check.live import domain_of
from mesh_cli.check.look import seen_or_why, server_version, skew
from mesh_cli.check.network_policy import NetworkPolicy
from mesh_cli.check.stamps import STAMPED_LEASES, stamps_in
from mesh_cli.check.verdict import Unseen
from mesh_cli.dns.set_ups import CONFIG_MAP, NAMESPACE
from mesh_cli.dns.zone import CUSTOM
from mesh_cli.install.rollout import PODS, troubles
from mesh_cli.member.addresses import NoGatewayAddress, format_address, gateway_addresses, parse_address
from mesh_cli.member.itself import read_facts
from mesh_cli.table import one_line
from mesh_core.errors import MeshError
from mesh_core.membership import Membership
from mesh_core.names import (
    DNS,
    GATEWAY,
    INTERMEDIATE_SECRET,
    LABEL_MANAGED_BY,
    LABEL_SLICE_MANAGED_BY,
    MANAGER,
    RESTING_PORTS_CONFIG_MAP,
    SYSTEM_NAMESPACE,
)
from mesh_core.objects import Condition, Deployment, KubernetesObject, PeerGateway, Service
from mesh_runtime.clock import Clock
from mesh_runtime.kube import (
    CONFIG_MAPS,
    CSRS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    IMPORTED_RECORDS,
    MESH_PEERS,
    NAMESPACES,
    NODES,
    SECRETS,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    SERVICES,
    KubeClient,
    Resource,
    connect,
)
from mesh_runtime.leaf import roots_of
from mesh_runtime.membership import beside_others

T = TypeVar("T")
O = TypeVar("O", bound=KubernetesObject)  # noqa: E741  # an object, as T is a thing

_FIRST_LIMIT: Final = 2.5
_SHAKE_LIMIT: Final = 3.0
"""Seconds for each of the three rounds: together they stay below ten."""
_NOT_YET: Final = Unseen("it was not tried yet")
_PART_OF: Final = "app.kubernetes.io/part-of=clusterset-mesh"
_COMPONENT: Final = "app.kubernetes.io/component"


class _Version(Struct, frozen=True):
    name: str
    served: bool = False


class _DefinitionSpec(Struct, frozen=True):
    versions: tuple[_Version, ...] = ()


class _DefinitionStatus(Struct, frozen=True):
    conditions: tuple[Condition, ...] = ()


class _Definition(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """apiextensions/v1 CustomResourceDefinition, with what it serves."""

    spec: _DefinitionSpec = _DefinitionSpec()
    status: _DefinitionStatus = _DefinitionStatus()


_DEFINITIONS: Final = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    _Definition,
    namespaced=False,
)


_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", NetworkPolicy)


async def look_at(contexts: Sequence[str], *, kubeconfig: Path | None, clock: Clock) -> tuple[Findings, ...]:
    """What is seen of each of `contexts`, in their order; those that do not answer have nothing seen."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_look(one, kubeconfig=kubeconfig, clock=clock)) for one in contexts]
    found = [task.result() for task in tasks]
    clocks = {one.context: one.clock for one in found}
    return tuple(
        replace(one, clocks=clocks, others={other.context: other for other in found if other is not one})
        for one in found
    )


async def _look(context: str, *, kubeconfig: Path | None, clock: Clock) -> Findings:
    try:
        async with connect(kubeconfig=kubeconfig, context=context) as client:
            return await findings_of(client, context=context, clock=clock)
    except MeshError as error:
        return nothing_seen(context, at=clock(), why=one_line(error.what))


async def findings_of(client: KubeClient, *, context: str, clock: Clock) -> Findings:
    """What is seen of the cluster behind `client`."""
    version = await seen_or_why(server_version(client), limit=_FIRST_LIMIT)
    if isinstance(version, Unseen):
        return nothing_seen(context, at=clock(), why=version.why)
    found = _beside_others(await _read(client, context=context, version=version, clock=clock))
    async with asyncio.TaskGroup() as group:
        shaken = group.create_task(
            seen_or_why(_shaken(found), limit=DIAL_LIMIT, who="somebody who was dialled")
        )
        tried = group.create_task(ways_tried(client, found))
        resolved = group.create_task(name_resolved(client, found, context=context))
    return replace(found, handshakes=shaken.result(), tried=tried.result(), resolved=resolved.result())


async def _read(client: KubeClient, *, context: str, version: str, clock: Clock) -> Findings:
    """Everything in the API, side by side."""
    parts = {**_own_parts(client, context=context, clock=clock), **_shared_parts(client)}
    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(seen_or_why(work)) for name, work in parts.items()}
    return _with_derived(
        Findings(
            context=context,
            at=clock(),
            version=version,
            clocks={},
            handshakes=_NOT_YET,
            tried=_NOT_YET,
            resolved=_NOT_YET,
            stamps=_NOT_YET,
            shadows=_NOT_YET,
            **{name: task.result() for name, task in tasks.items()},  # type: ignore[arg-type]  # one type for all
        )
    )


def _with_derived(found: Findings) -> Findings:
    """With what is told by what was read for something else: nothing is asked for twice."""
    leases, services = found.leases, found.services
    return replace(
        found,
        stamps=leases if isinstance(leases, Unseen) else stamps_in(leases),
        shadows=services
        if isinstance(services, Unseen)
        else tuple(one for one in services if one.metadata.labels.get(LABEL_MANAGED_BY) == MANAGER),
    )


def _own_parts(client: KubeClient, *, context: str, clock: Clock) -> dict[str, Awaitable[object]]:
    """What reads the fields of Findings that are about the cluster and our programs, by their names."""
    return {
        "clock": skew(client, clock=clock),
        "kinds": _kinds(client),
        "rights": own_rights(client),
        "rules": rules(client),
        "namespace": _namespace(client),
        "member": _member(client, context=context),
        "secret": _secret(client),
        "requests": _all(client, CSRS),
        "leases": _all(client, STAMPED_LEASES, namespace=SYSTEM_NAMESPACE),
        "deployments": _deployments(client),
        "pods": _pods(client),
        "gateway_service": client.find(SERVICES, GATEWAY, namespace=SYSTEM_NAMESPACE),
        "own_addresses": _addresses(client),
        "dns_service": client.find(SERVICES, DNS, namespace=SYSTEM_NAMESPACE),
        "corefile": client.find(CONFIG_MAPS, CONFIG_MAP, namespace=NAMESPACE),
        "custom_dns": client.find(CONFIG_MAPS, CUSTOM, namespace=NAMESPACE),
        "resting_ports": client.find(CONFIG_MAPS, RESTING_PORTS_CONFIG_MAP, namespace=SYSTEM_NAMESPACE),
    }


def _shared_parts(client: KubeClient) -> dict[str, Awaitable[object]]:
    """The same for what is shared with peers."""
    return {
        "peers": _all(client, MESH_PEERS),
        "exports": _all(client, SERVICE_EXPORTS),
        "imports": _all(client, SERVICE_IMPORTS),
        "records": _records(client),
        "services": _all(client, SERVICES),
        "sources": _all(client, ENDPOINT_SLICES, labels=f"{LABEL_SLICE_MANAGED_BY}!={MANAGER}"),
        "namespaces": _namespaces(client),
        "policies": _all(client, _POLICIES),
        "slices": _all(client, ENDPOINT_SLICES, labels=f"{LABEL_SLICE_MANAGED_BY}={MANAGER}"),
        "hub": hub_seen(client),
    }


async def _kinds(client: KubeClient) -> tuple[ServedKind, ...]:
    return tuple(
        ServedKind(
            name=one.metadata.name,
            versions=frozenset(version.name for version in one.spec.versions if version.served),
            is_established=any((c.type, c.status) == ("Established", "True") for c in one.status.conditions),
        )
        for one in await _all(client, _DEFINITIONS)
    )


async def _namespace(client: KubeClient) -> OurNamespace:
    found = await client.find(NAMESPACES, SYSTEM_NAMESPACE)
    return OurNamespace(labels=found.metadata.labels if found is not None else None)


async def _namespaces(client: KubeClient) -> frozenset[str]:
    """The names of all that are not going away."""
    found = await _all(client, NAMESPACES)
    return frozenset(one.metadata.name for one in found if one.metadata.deletion_timestamp is None)


async def _member(client: KubeClient, *, context: str) -> Member:
    facts = await read_facts(client, context=context)
    clusterset = facts.clusterset.spec.value if facts.clusterset is not None else ""
    return Member(facts.uid, facts.membership, clusterset, facts.bundle)


async def _secret(client: KubeClient) -> SecretSeen | None:
    found = await client.find_metadata(SECRETS, INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE)
    return SecretSeen(found.creation_timestamp) if found is not None else None


async def _deployments(client: KubeClient) -> Mapping[str, Deployment]:
    return {one.metadata.name: one for one in await _all(client, DEPLOYMENTS, namespace=SYSTEM_NAMESPACE)}


async def _pods(client: KubeClient) -> tuple[PodSeen, ...]:
    found = (await client.list(PODS, namespace=SYSTEM_NAMESPACE, labels=_PART_OF)).items
    return tuple(
        PodSeen(
            name=pod.metadata.name,
            component=pod.metadata.labels.get(_COMPONENT, ""),
            is_ready=bool(pod.status.container_statuses)
            and all(one.ready for one in pod.status.container_statuses),
            trouble="; ".join(one.partition(": ")[2] for one in troubles([pod])),
            image=next((one.image for one in pod.spec.containers), ""),
        )
        for pod in sorted(found, key=lambda pod: pod.metadata.name)
        if pod.status.phase not in {"Succeeded", "Failed"}
    )


async def _addresses(client: KubeClient) -> tuple[str, ...]:
    """Where peers dial this cluster's gateways; none when its Service has no address."""
    service = await client.find(SERVICES, GATEWAY, namespace=SYSTEM_NAMESPACE)
    return tuple(map(format_address, await _gateways(client, service))) if service is not None else ()


async def _gateways(client: KubeClient, service: Service) -> tuple[PeerGateway, ...]:
    nodes = (await client.list(NODES)).items if service.spec.type == "NodePort" else ()
    try:
        # A NodePort that is not allocated yet is 0, which nobody can dial.
        return tuple(one for one in gateway_addresses(service, nodes=nodes) if one.port)
    except NoGatewayAddress:
        return ()


async def _records(client: KubeClient) -> tuple[RecordSeen, ...]:
    found = await _all(client, IMPORTED_RECORDS, namespace=SYSTEM_NAMESPACE)
    return tuple(
        RecordSeen(
            one.metadata.name,
            one.spec.cluster,
            one.spec.key,
            ports_of(one.spec),
            one.spec.traffic,
            one.spec.allow,
        )
        for one in found
    )


async def _all(
    client: KubeClient, resource: Resource[O], *, namespace: str = "", labels: str = ""
) -> tuple[O, ...]:
    return tuple((await client.list(resource, namespace=namespace, labels=labels)).items)


def _beside_others(found: Findings) -> Findings:
    """With the roots that were agreed for peers of other clustersets in the membership."""
    member, peers = found.member, found.peers
    if (
        isinstance(member, Unseen)
        or isinstance(peers, Unseen)
        or not isinstance(member.membership, Membership)
    ):
        return found
    membership = beside_others(member.membership, peers=peers)
    return replace(found, member=replace(member, membership=membership))


async def _shaken(found: Findings) -> tuple[Handshake, ...] | Unseen:
    """Handshakes with our own gateways and those of the peers."""
    for needed in (found.member, found.peers, found.own_addresses):
        if isinstance(needed, Unseen):
            return needed
    assert not isinstance(found.member, Unseen)
    membership = found.member.membership
    if not isinstance(membership, Membership):
        return Unseen(f"this cluster is not a member: {membership.why}")
    assert not isinstance(found.own_addresses, Unseen)
    assert not isinstance(found.peers, Unseen)
    own = [parse_address(one) for one in found.own_addresses]
    wanted = targets(membership.cluster, domain=membership.domain, gateways=own)
    for peer in sorted(found.peers, key=lambda one: one.metadata.name):
        wanted += targets(
            peer.metadata.name,
            domain=domain_of(peer.metadata.name, membership=membership),
            gateways=peer.spec.dialled,
        )
    return await handshakes(wanted, roots=roots_of(membership), limit=_SHAKE_LIMIT)


def moment_of(clock: Clock) -> datetime:
    """The time, cut to the second, as results show it."""
    return clock().replace(microsecond=0)
