"""Reading of a placement hub for `check`: four looks, whose outcome is values without the hub's own kinds."""

import asyncio
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from mesh_cli.check.hub_seen import HubMember, HubPlacement, HubSeen
from mesh_cli.install.rollout import readiness
from mesh_cli.table import one_line
from mesh_core.names import HUB, SYSTEM_NAMESPACE
from mesh_core.objects import Condition, KubernetesObject
from mesh_placement.objects import ClusterRegistration
from mesh_placement.resources import CLUSTER_REGISTRATIONS, PLACEMENTS
from mesh_runtime.kube import DEPLOYMENTS, LEASES, ApiError, KubeClient, Resource

_READY: Final = "Ready"


class _Status(Struct, frozen=True):
    conditions: tuple[Condition, ...] = ()


class _Head(KubernetesObject, frozen=True, kw_only=True):
    """A Placement without what it places, which may be large and is not asked for here."""

    status: _Status = _Status()


_HEADS: Final = Resource(PLACEMENTS.group, PLACEMENTS.version, PLACEMENTS.plural, PLACEMENTS.kind, _Head)


async def hub_seen(client: KubeClient) -> HubSeen | None:
    """What the hub there holds; None where its kinds are not served. Raises ApiError, Unreachable."""
    try:
        registrations, placements, deployment, lease = await asyncio.gather(
            client.list(CLUSTER_REGISTRATIONS),
            client.list(_HEADS),
            client.find(DEPLOYMENTS, HUB, namespace=SYSTEM_NAMESPACE),
            client.find(LEASES, HUB, namespace=SYSTEM_NAMESPACE),
        )
    except ApiError as error:
        if error.is_not_found:
            return None
        raise
    return HubSeen(
        members=tuple(_member(one) for one in sorted(registrations.items, key=lambda one: one.metadata.name)),
        placements=len(placements.items),
        troubled=tuple(_troubled(placements.items)),
        pods=readiness(deployment) if deployment is not None else None,
        led=(lease.spec.renew_time or "") if lease is not None else "",
    )


def _member(one: ClusterRegistration) -> HubMember:
    said = next((condition for condition in one.status.conditions if condition.type == _READY), None)
    return HubMember(
        name=one.metadata.name,
        accepted=one.spec.accepted,
        phase=one.status.phase,
        is_ready=said is not None and said.status == "True",
        why=_told(said) if said is not None else "the hub has said nothing of it yet",
        since=said.last_transition_time if said is not None else one.metadata.creation_timestamp,
        agent=one_line(one.status.agent.agent_version),
        leaving=one.metadata.deletion_timestamp or "",
    )


def _troubled(placements: Iterable[_Head]) -> Iterable[HubPlacement]:
    """Those with a condition that is False: the first one, as the hub orders them by cause."""
    for one in sorted(placements, key=lambda one: one.key):
        bad = next((condition for condition in one.status.conditions if condition.status == "False"), None)
        if bad is not None:
            yield HubPlacement(*one.key, f"{bad.type} is False, {_told(bad)}", bad.last_transition_time)


def _told(condition: Condition) -> str:
    return f"{condition.reason}: {one_line(condition.message)}"
