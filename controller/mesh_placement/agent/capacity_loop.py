"""Tells the hub what room there is in the member: ClusterCapacity `capacity`, out of its Nodes and Pods.

Pods are counted as they come and go; what that makes together is looked at only when something changed and a
write may follow, and in a thread: of thousands of nodes it takes a tenth of a second.
"""

import asyncio
import random
from contextlib import suppress
from typing import Never

import msgspec

from mesh_core.errors import MeshError
from mesh_core.lifetimes import retry_delay
from mesh_placement.agent.kinds import all_synced
from mesh_placement.agent.session import Session
from mesh_placement.decide.capacity import Uses, capacity
from mesh_placement.decide.capacity_news import REST, seconds_until_write
from mesh_placement.names import AGENT_MANAGER, CAPACITY
from mesh_placement.objects import ClusterCapacityStatus
from mesh_placement.objects.member import NodeRoom, PodUse
from mesh_placement.resources import CLUSTER_CAPACITIES
from mesh_runtime.kube import ApiError, Informer, KubeClient, Resource
from mesh_runtime.log import logger

_log = logger(__name__)

NODE_ROOMS = Resource("", "v1", "nodes", "Node", NodeRoom, namespaced=False)
POD_USES = Resource("", "v1", "pods", "Pod", PodUse)
_UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"
# Seconds in which changes are gathered before they are looked at.
_GATHER = 1.0


async def capacity_part(session: Session) -> None:
    """The part of a session."""
    await CapacityLoop(session.hub, member=session.member, namespace=session.namespace).run()


class CapacityLoop:
    """Writes to `namespace` of `hub` what room there is in `member`."""

    def __init__(self, hub: KubeClient, *, member: KubeClient, namespace: str) -> None:
        self._hub = hub
        self._namespace = namespace
        self._uses = Uses()
        self._nodes = Informer(member, NODE_ROOMS)
        self._pods = Informer(member, POD_USES, fields=_UNFINISHED)
        self._changed = asyncio.Event()
        self._nodes.on_change(self._changed.set)
        self._pods.follow(self._count)
        self._seen: ClusterCapacityStatus | None = None
        self._written: float | None = None

    async def run(self) -> None:
        """Watch and write, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._nodes.run())
            group.create_task(self._pods.run())
            group.create_task(self._write())

    def _count(self, key: tuple[str, str], _old: PodUse | None, new: PodUse | None) -> None:
        self._uses.changed(key, new)
        self._changed.set()

    async def _write(self) -> Never:
        await all_synced((self._nodes.synced, self._pods.synced))
        failures = 0
        while True:
            self._changed.clear()
            try:
                wait = await self._step()
                failures = 0
            except MeshError as error:
                wait = retry_delay(failures, jitter=random.random())
                failures += 1
                _log.warning("the capacity is not written", why=error.what, again_in=round(wait, 1))
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            # Nothing is written before that anyway, so nothing is put together either.
            await asyncio.sleep(max(_GATHER, REST - (self._since_write() or REST)))

    async def _step(self) -> float | None:
        """One look; seconds until the next one, None when only a change makes one due."""
        if self._seen is None:
            self._seen = await self._there()
        # What the thread reads must not change under it; the Structs themselves never do.
        wanted = await asyncio.to_thread(capacity, list(self._nodes.values()), uses=self._uses.copy())
        wait = seconds_until_write(self._seen, wanted, since_last=self._since_write())
        if wait is None or wait > 0:
            return wait
        body = {
            "metadata": {"name": CAPACITY, "namespace": self._namespace},
            "status": msgspec.to_builtins(wanted),
        }
        await self._hub.apply(CLUSTER_CAPACITIES, body, field_manager=AGENT_MANAGER, subresource="status")
        self._seen, self._written = wanted, asyncio.get_running_loop().time()
        return None

    def _since_write(self) -> float | None:
        return None if self._written is None else asyncio.get_running_loop().time() - self._written

    async def _there(self) -> ClusterCapacityStatus | None:
        """What the hub has, once a session: nobody else writes it."""
        try:
            return (await self._hub.get(CLUSTER_CAPACITIES, CAPACITY, namespace=self._namespace)).status
        except ApiError as error:
            if error.is_not_found:
                return None
            raise
