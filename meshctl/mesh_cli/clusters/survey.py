"""The clusters of a hub as values, out of four lists that are read at one time. `clusters_seen` is pure."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from mesh_cli.hub.objects import NoHub
from mesh_core.objects import Condition, Lease
from mesh_placement.names import CAPACITY, LEASE, LINKS, cluster_namespace
from mesh_placement.objects import (
    ClusterCapacity,
    ClusterLink,
    ClusterRegistration,
    LinkToPeer,
    NamedValue,
    Taint,
)
from mesh_placement.resources import CLUSTER_CAPACITIES, CLUSTER_LINKS, CLUSTER_REGISTRATIONS
from mesh_runtime.kube import LEASES, ApiError, KubeClient


@dataclass(frozen=True, slots=True)
class Room:
    """What a cluster has, as Kubernetes quantities by resource."""

    nodes: int
    pods: int
    total: dict[str, str]
    available: dict[str, str]
    continuous: dict[str, str]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClusterSeen:
    """A registration with what its agent says; `renewed` is RFC 3339, "" before the first Lease.

    `room` and `links` are None where the agent has said nothing yet. `taints` are those of spec and status.
    """

    name: str
    cluster_set: str
    accepted: bool
    phase: str
    mode: str
    distribution: str
    driver: str
    namespace: str
    kubernetes: str
    agent: str
    fingerprint: str
    renewed: str
    leaving_since: str
    access: bool
    conditions: tuple[Condition, ...]
    taints: tuple[Taint, ...]
    properties: tuple[NamedValue, ...]
    room: Room | None
    links: tuple[LinkToPeer, ...] | None


async def read_clusters(client: KubeClient, *, context: str) -> list[ClusterSeen]:
    """All registrations of the hub, by name; raises NoHub."""
    try:
        found, capacities, links, leases = await asyncio.gather(
            client.list(CLUSTER_REGISTRATIONS),
            client.list(CLUSTER_CAPACITIES),
            client.list(CLUSTER_LINKS),
            client.list(LEASES, fields=f"metadata.name={LEASE}"),
        )
    except ApiError as error:
        if error.is_not_found:
            raise NoHub(f"context {context}") from error
        raise
    return clusters_seen(found.items, capacities=capacities.items, links=links.items, leases=leases.items)


def clusters_seen(
    registrations: Iterable[ClusterRegistration],
    *,
    capacities: Iterable[ClusterCapacity],
    links: Iterable[ClusterLink],
    leases: Iterable[Lease],
) -> list[ClusterSeen]:
    """What belongs together, by the namespaces of the clusters; in the order of their names."""
    rooms = {one.key: one for one in capacities}
    ways = {one.key: one for one in links}
    renewals = {one.key: one.spec.renew_time or "" for one in leases}
    seen = []
    for one in sorted(registrations, key=lambda one: one.metadata.name):
        namespace = one.status.namespace or cluster_namespace(one.metadata.name)
        seen.append(
            _seen(
                one,
                capacity=rooms.get((namespace, CAPACITY)),
                link=ways.get((namespace, LINKS)),
                renewed=renewals.get((namespace, LEASE), ""),
            )
        )
    return seen


def _seen(
    one: ClusterRegistration, *, capacity: ClusterCapacity | None, link: ClusterLink | None, renewed: str
) -> ClusterSeen:
    agent, own = one.status.agent, {(taint.key, taint.effect) for taint in one.spec.taints}
    added = (taint for taint in one.status.taints if (taint.key, taint.effect) not in own)
    return ClusterSeen(
        name=one.metadata.name,
        cluster_set=one.spec.cluster_set,
        accepted=one.spec.accepted,
        phase=one.status.phase,
        mode=one.spec.mode,
        distribution=one.spec.distribution,
        driver=one.spec.driver,
        namespace=one.status.namespace,
        kubernetes=agent.kubernetes,
        agent=agent.agent_version,
        fingerprint=one.status.id.key_fingerprint,
        renewed=renewed,
        leaving_since=one.metadata.deletion_timestamp or "",
        access=agent.access,
        conditions=one.status.conditions,
        taints=(*one.spec.taints, *added),
        properties=agent.properties,
        room=_room(capacity),
        links=link.status.peers if link is not None and link.status.peers else None,
    )


def _room(capacity: ClusterCapacity | None) -> Room | None:
    if capacity is None or not capacity.status.total:
        return None  # the hub made it, and no agent has written it yet
    status = capacity.status
    return Room(
        nodes=status.nodes,
        pods=status.pods,
        total=status.total,
        available=status.available,
        continuous=status.continuous,
        warnings=status.warnings,
    )
