"""Tells the hub what room there is in the member: ClusterCapacity `capacity`, out of its Nodes and Pods.

1. Pods are counted as they come and go; what that makes together is looked at only when something changed and
   a write may follow, and in a thread: of thousands of nodes it takes a tenth of a second.
2. A revision is told together with numbers that show it. Who applies says that the controllers have made its
   pods (`Assignment.status.visible`); the pods are counted `_SETTLE` seconds after that was heard, and while
   the watch of pods does not stand no other revisions are told than before.
3. Room is told also where rights to see Assignments, namespaces or storage classes are missing: names are not
   told then, revisions stay what they were.
"""

import asyncio
from contextlib import suppress

from mesh_core.objects import KubernetesObject
from mesh_placement.agent.kinds import OptionalCache, all_synced
from mesh_placement.agent.session import Session
from mesh_placement.agent.telling import Teller, Told
from mesh_placement.decide.capacity import Uses, capacity
from mesh_placement.decide.capacity_beside import (
    MOST_NAMESPACES,
    MOST_STORAGE_CLASSES,
    Beside,
    Names,
    is_leaving,
    names_of,
    observed,
    with_beside,
)
from mesh_placement.decide.capacity_news import REST, seconds_until_write
from mesh_placement.names import CAPACITY
from mesh_placement.objects import Assignment, ClusterCapacity, ClusterCapacityStatus
from mesh_placement.objects.member import NodeRoom, PodUse
from mesh_placement.resources import ASSIGNMENTS, CLUSTER_CAPACITIES
from mesh_runtime.kube import CLUSTER_PROPERTIES, Informer, Resource

NODE_ROOMS = Resource("", "v1", "nodes", "Node", NodeRoom, namespaced=False)
POD_USES = Resource("", "v1", "pods", "Pod", PodUse)
_NAMESPACES = Resource("", "v1", "namespaces", "Namespace", KubernetesObject, namespaced=False)
_STORAGE_CLASSES = Resource(
    "storage.k8s.io", "v1", "storageclasses", "StorageClass", KubernetesObject, namespaced=False
)
_UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"
# Seconds in which changes are gathered before they are looked at.
_GATHER = 1.0
# Seconds by which the watch of pods may be behind that of the hub.
_SETTLE = 1.0
# Seconds for which a watch that is not heard is believed to stand; one in which nothing happens is heard
# about once a minute.
_STANDS = 90.0
# Seconds after which it is looked whether it stands again: that alone changes no object.
_AGAIN = 10.0
# Seconds for which the first telling waits for what it can do without.
_PATIENCE = 5.0


async def capacity_part(session: Session) -> None:
    """The part of a session."""
    await CapacityLoop(session).run()


class CapacityLoop:
    """Writes to the hub what room there is in the session's member."""

    def __init__(self, session: Session) -> None:
        member, namespace = session.member, session.namespace
        told = Told(
            resource=CLUSTER_CAPACITIES,
            name=CAPACITY,
            namespace=namespace,
            status=lambda one: one.status,
        )
        self._teller: Teller[ClusterCapacity, ClusterCapacityStatus] = Teller(
            session.hub, told, look=self._look, due=seconds_until_write, gather=_GATHER, rest=REST
        )
        tell = self._teller.changed
        self._uses = Uses()
        self._again: asyncio.TimerHandle | None = None
        self._nodes = Informer(member, NODE_ROOMS)
        self._pods = Informer(member, POD_USES, fields=_UNFINISHED)
        self._assignments = Informer(session.hub, ASSIGNMENTS, namespace=namespace)
        self._properties = OptionalCache(member, CLUSTER_PROPERTIES, kinds=session.kinds, changed=tell)
        names = member.lists_metadata()
        self._namespaces = Informer(names, _NAMESPACES)
        self._storage_classes = Informer(names, _STORAGE_CLASSES)
        self._nodes.on_change(tell)
        self._pods.follow(self._count)
        self._assignments.follow(self._follow_assignment)
        for cache in (self._namespaces, self._storage_classes):
            cache.follow(self._follow_name)

    async def run(self) -> None:
        """Watch and write, for ever."""
        needed = (self._nodes, self._pods, self._properties)
        wanted = (self._assignments, self._namespaces, self._storage_classes)
        async with asyncio.TaskGroup() as group:
            for cache in (*needed, *wanted):
                group.create_task(cache.run())
            await all_synced(one.synced for one in needed)
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await all_synced(one.synced for one in wanted)
            group.create_task(self._teller.run())

    def _count(self, key: tuple[str, str], _old: PodUse | None, new: PodUse | None) -> None:
        self._uses.changed(key, new)
        self._teller.changed()

    def _follow_assignment(self, _key: object, old: Assignment | None, new: Assignment | None) -> None:
        if old is None or new is None or old.status.visible != new.status.visible:
            self._teller.changed_urgently()

    def _follow_name(self, _key: object, old: KubernetesObject | None, new: KubernetesObject | None) -> None:
        if old is None or new is None or is_leaving(old) != is_leaving(new):
            self._teller.changed_urgently()

    async def _look(self) -> ClusterCapacityStatus:
        revisions = observed(self._assignments.values())
        await asyncio.sleep(_SETTLE)
        if not (self._assignments.synced.is_set() and self._pods.is_current(within=_STANDS)):
            seen = self._teller.seen
            revisions = seen.observed_assignments if seen is not None else {}
            self._look_again()
        beside = Beside(
            observed=revisions,
            properties=self._properties.values(),
            namespaces=_names(self._namespaces, most=MOST_NAMESPACES),
            storage_classes=_names(self._storage_classes, most=MOST_STORAGE_CLASSES),
        )
        # What the thread reads must not change under it; the Structs themselves never do.
        counted = await asyncio.to_thread(capacity, list(self._nodes.values()), uses=self._uses.copy())
        return with_beside(counted, beside)

    def _look_again(self) -> None:
        loop = asyncio.get_running_loop()
        if self._again is None or self._again.when() <= loop.time():
            self._again = loop.call_later(_AGAIN, self._teller.changed)


def _names(cache: Informer[KubernetesObject], *, most: int) -> Names:
    return names_of(cache.values(), most=most) if cache.synced.is_set() else None
