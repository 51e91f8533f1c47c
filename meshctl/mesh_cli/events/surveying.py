"""Asks clusters for the conditions of everything of ours, and for the Events about it. Reads only."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from mesh_cli.events.timeline import Entry, Timeline, entries_of, timeline
from mesh_cli.member.itself import read_facts
from mesh_cli.status.survey import NotSeen
from mesh_core.conditions import rfc3339
from mesh_core.errors import MeshError
from mesh_core.membership import Membership
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Condition, KubernetesObject
from mesh_placement.resources import ASSIGNMENTS, CLUSTER_CLAIMS, CLUSTER_REGISTRATIONS, PLACEMENTS
from mesh_runtime.clock import Clock
from mesh_runtime.kube import (
    MESH_PEERS,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    TRUST_BUNDLES,
    ApiError,
    KubeClient,
    Resource,
    connect,
)


class _Status(Struct, frozen=True):
    conditions: tuple[Condition, ...] | None = ()


class _Conditioned(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """Any object, as far as its conditions go."""

    status: _Status = _Status()


class _Regarding(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 ObjectReference."""

    kind: str = ""
    namespace: str = ""
    name: str = ""


class _Series(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 EventSeries: how often it was seen, and when last."""

    count: int = 1
    last_observed_time: str | None = None


class _Event(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """core/v1 Event; times may be null, and newer writers, as our controller, have but `eventTime`."""

    involved_object: _Regarding = field(default_factory=_Regarding)
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int | None = 1
    last_timestamp: str | None = None
    event_time: str | None = None
    series: _Series | None = None

    @property
    def last(self) -> str:
        """When it was seen last."""
        observed = self.series.last_observed_time if self.series is not None else None
        return observed or self.last_timestamp or self.event_time or self.metadata.creation_timestamp

    @property
    def times(self) -> int:
        """How often it was seen."""
        return (self.series.count if self.series is not None else self.count) or 1


EVENTS: Final = Resource("", "v1", "events", "Event", _Event)
_LOOKED_AT: Final = tuple(
    Resource(one.group, one.version, one.plural, one.kind, _Conditioned, namespaced=one.namespaced)
    for one in (
        SERVICE_EXPORTS,
        SERVICE_IMPORTS,
        MESH_PEERS,
        TRUST_BUNDLES,
        CLUSTER_REGISTRATIONS,
        CLUSTER_CLAIMS,
        PLACEMENTS,
        ASSIGNMENTS,
    )
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: of one namespace, "" for all; not older than `since`; so many at most."""

    namespace: str
    since: timedelta | None
    most: int


async def survey_events(
    contexts: Sequence[str], *, kubeconfig: Path | None, wanted: Wanted, clock: Clock
) -> Timeline:
    """Ask all `contexts` side by side."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_ask(one, kubeconfig=kubeconfig, wanted=wanted)) for one in contexts]
    found = [task.result() for task in tasks]
    now = clock()
    return timeline(
        (entry for one in found if not isinstance(one, NotSeen) for entry in one),
        unseen=[one for one in found if isinstance(one, NotSeen)],
        at=now,
        since=wanted.since,
        most=wanted.most,
        shown=rfc3339(now),
    )


async def _ask(context: str, *, kubeconfig: Path | None, wanted: Wanted) -> list[Entry] | NotSeen:
    try:
        async with connect(kubeconfig=kubeconfig, context=context) as client:
            membership = (await read_facts(client, context=context)).membership
            cluster = membership.cluster if isinstance(membership, Membership) else context
            asked: list[Awaitable[list[Entry]]] = [
                _conditions(client, resource, cluster=cluster, namespace=wanted.namespace)
                for resource in _LOOKED_AT
            ]
            versions = (SERVICE_EXPORTS.api_version, MESH_PEERS.api_version, PLACEMENTS.api_version)
            asked += [
                _events(client, cluster=cluster, namespace=wanted.namespace, about=version)
                for version in versions
            ]
            if wanted.namespace in ("", SYSTEM_NAMESPACE):
                asked.append(_events(client, cluster=cluster, namespace=SYSTEM_NAMESPACE, about=""))
            return [entry for entries in await asyncio.gather(*asked) for entry in entries]
    except MeshError as error:
        return NotSeen(context, str(error))


async def _conditions(
    client: KubeClient, resource: Resource[_Conditioned], *, cluster: str, namespace: str
) -> list[Entry]:
    """None where the kind is not served, or objects without a namespace when one is asked for."""
    if namespace and not resource.namespaced:
        return []
    try:
        found = (await client.list(resource, namespace=namespace)).items
    except ApiError as error:
        if error.is_not_found:
            return []
        raise
    return [
        entry
        for one in found
        for entry in entries_of(
            one.status.conditions or (),
            cluster=cluster,
            kind=resource.kind,
            name="/".join(filter(None, one.key)),
        )
    ]


async def _events(client: KubeClient, *, cluster: str, namespace: str, about: str) -> list[Entry]:
    fields = f"involvedObject.apiVersion={about}" if about else ""
    return [
        Entry(
            at=one.last,
            cluster=cluster,
            kind=one.involved_object.kind,
            object="/".join(filter(None, (one.involved_object.namespace, one.involved_object.name))),
            what=one.type,
            reason=one.reason,
            message=one.message,
            count=one.times,
        )
        for one in (await client.list(EVENTS, namespace=namespace, fields=fields)).items
    ]
