"""A hub as its scheduler sees it, read with the rights of whoever asks, and written by nobody.

What only the hub that leads remembers is not in it: which clusters it found Dead before it was cut off, and
how much of a decision the numbers of a cluster show already. It is what a hub sees that begins to lead now.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from mesh_cli.hub.objects import NoHub
from mesh_core.objects import KubernetesObject
from mesh_placement.decide.placement_refusal import takes_part
from mesh_placement.hub.placing.cycle import Scheduling
from mesh_placement.names import CAPACITY, LINKS
from mesh_placement.objects import (
    Assignment,
    ClusterCapacity,
    ClusterLink,
    ClusterRegistration,
    ClusterSet,
    Placement,
    PriorityClass,
    ResourceInterpreter,
)
from mesh_placement.resources import (
    ASSIGNMENTS,
    CLUSTER_CAPACITIES,
    CLUSTER_LINKS,
    CLUSTER_REGISTRATIONS,
    CLUSTER_SETS,
    PLACEMENTS,
    PRIORITY_CLASSES,
    RESOURCE_INTERPRETERS,
)
from mesh_placement.schedule.ruled import rules_of
from mesh_placement.schedule.seen_clusters import ClusterRows
from mesh_placement.schedule.snapshot import Snapshot
from mesh_placement.schedule.snapshotting import Seen, snapshot_of, text_of
from mesh_runtime.kube import NAMESPACES, ApiError, KubeClient


@dataclass(frozen=True, slots=True, kw_only=True)
class HubObjects:
    """What a decision is made of."""

    sets: tuple[ClusterSet, ...]
    registrations: tuple[ClusterRegistration, ...]
    capacities: tuple[ClusterCapacity, ...]
    links: tuple[ClusterLink, ...]
    namespaces: tuple[KubernetesObject, ...]
    placements: tuple[Placement, ...]
    assignments: tuple[Assignment, ...]
    priorities: tuple[PriorityClass, ...]
    interpreters: tuple[ResourceInterpreter, ...] = ()

    def placement(self, key: tuple[str, str]) -> Placement | None:
        """The one of that namespace and name."""
        return next((one for one in self.placements if one.key == key), None)

    def with_placements(self, wished: Iterable[Placement]) -> "HubObjects":
        """The same after these were applied."""
        found = {one.key: one for one in (*self.placements, *wished)}
        return replace(self, placements=tuple(found.values()))


async def read_hub_objects(client: KubeClient) -> HubObjects:
    """All of it, as it is at one time; raises NoHub."""
    try:
        (
            (sets, registrations, capacities, links),
            (namespaces, placements, assignments, priorities, interpreters),
        ) = await asyncio.gather(
            asyncio.gather(
                client.list(CLUSTER_SETS),
                client.list(CLUSTER_REGISTRATIONS),
                client.list(CLUSTER_CAPACITIES),
                client.list(CLUSTER_LINKS),
            ),
            asyncio.gather(
                client.lists_metadata().list(NAMESPACES),
                client.list(PLACEMENTS),
                client.list(ASSIGNMENTS),
                client.list(PRIORITY_CLASSES),
                client.list(RESOURCE_INTERPRETERS),
            ),
        )
    except ApiError as error:
        if error.is_not_found:
            raise NoHub("this cluster") from error
        raise
    return HubObjects(
        sets=tuple(sets.items),
        registrations=tuple(registrations.items),
        capacities=tuple(capacities.items),
        links=tuple(links.items),
        namespaces=tuple(namespaces.items),
        placements=tuple(placements.items),
        assignments=tuple(assignments.items),
        priorities=tuple(priorities.items),
        interpreters=tuple(interpreters.items),
    )


def hub_snapshot(hub: HubObjects, *, scheduling: Scheduling, now: datetime) -> Snapshot:
    """What the scheduler would be given at `now`."""
    # Templates of the hub are not read here: who waits for a first decision is left out, others stay.
    placements = [one for one in hub.placements if takes_part(one)]
    rules = (rules_of(hub.interpreters),)
    return snapshot_of(
        Seen(
            sets=hub.sets,
            clusters=_rows(hub),
            namespaces=hub.namespaces,
            placements=placements,
            assignments=hub.assignments,
            priorities={one.metadata.name: one.value for one in hub.priorities},
            demands={text_of(one): scheduling.demand_of(one, rules) for one in placements},
            stays=[text_of(one) for one in placements if one.spec.resource_selectors],
        ),
        now=now,
    )


def _rows(hub: HubObjects) -> list[ClusterRows]:
    capacities = {one.key: one for one in hub.capacities}
    links = {one.key: one for one in hub.links}
    found = []
    for one in hub.registrations:
        space = ClusterRows(one).namespace
        found.append(ClusterRows(one, capacities.get((space, CAPACITY)), links.get((space, LINKS))))
    return found
