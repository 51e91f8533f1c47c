"""The hub's program, put together: caches that every replica holds, and loops that the leader runs.

1. Every replica watches, so that a successor begins with what is known; only the leader writes, here and in
   members, and it asks before each write whether it still leads: a replica that was frozen is no leader.
2. It is ready when its caches are complete. Neither members nor placement gate it.
3. A hub that stops leaves every object as it is: no running service and no member waits for it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Never, Protocol, TypeVar

from mesh_core.names import HEALTH_PORT, SYSTEM_NAMESPACE
from mesh_placement.hub.caches import HubCaches
from mesh_placement.hub.dial_in import Connect, DialIn, connect_member
from mesh_placement.hub.hearts import Hearts
from mesh_placement.hub.import_loop import ImportLoop
from mesh_placement.hub.leave_loop import LeaveLoop
from mesh_placement.hub.placing.caches import PlacementCaches
from mesh_placement.hub.placing.cycle import Scheduling
from mesh_placement.hub.placing.load_telling import load_metrics
from mesh_placement.hub.placing.loop import PlacementLoop
from mesh_placement.hub.placing.order_loop import OrderLoop
from mesh_placement.hub.profile_loop import ProfileLoop
from mesh_placement.hub.push_loop import PushLoop, Way
from mesh_placement.hub.registration_loop import RegistrationLoop
from mesh_placement.hub.set_loop import SetLoop
from mesh_placement.hub.ways import Ways
from mesh_placement.names import HUB
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.health import health_server
from mesh_runtime.kube import KubeClient, LeaderElection
from mesh_runtime.metrics_text import metrics_text

W = TypeVar("W")


class Loop(Protocol):
    """What the leader runs."""

    async def run(self) -> Never:
        """Work until cancelled."""


def hub_loops(
    kube: KubeClient, *, caches: HubCaches, clock: Clock, way: Way, connect: Connect = connect_member
) -> tuple[Loop, ...]:
    """The leader's loops; made before the caches run. `connect` is how a member is dialled in to, `way` how
    one is reached later."""
    hearts = Hearts(caches.leases, now=asyncio.get_running_loop().time)
    registrations = RegistrationLoop(kube, caches=caches, hearts=hearts, clock=clock)
    return (
        SetLoop(kube, caches=caches),
        registrations,
        LeaveLoop(kube, registrations=caches.registrations, hearts=hearts, clock=clock),
        ProfileLoop(kube, caches=caches, clock=clock),
        DialIn(kube, caches=caches, note=registrations.note_dial_in, clock=clock, connect=connect),
        PushLoop(kube, registrations=caches.registrations, way=way, clock=clock),
    )


class HubParts:
    """Caches and loops of one term, or of several; they write while `may_write` lets them. It places where
    there is a `scheduling`."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        may_write: Callable[[], None],
        scheduling: Scheduling | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self.caches = HubCaches(kube)
        self.placing = PlacementCaches(kube, hub=self.caches)
        self._ways = Ways(kube, clock=clock)
        guarded = kube.only_while(may_write)
        self._loops: tuple[Loop, ...] = (
            *hub_loops(
                guarded,
                caches=self.caches,
                clock=clock,
                way=_while_leading(self._ways.to, may_write=may_write),
                connect=_while_leading(connect_member, may_write=may_write),
            ),
            ImportLoop(guarded, caches=self.caches),
        )
        self._placer: PlacementLoop | None = None
        if scheduling is not None:
            self._placer = PlacementLoop(guarded, caches=self.placing, scheduling=scheduling, clock=clock)
            orders = OrderLoop(guarded, caches=self.placing, demand_of=self._placer.demand_of, clock=clock)
            self._loops += (self._placer, orders)

    @property
    def is_synced(self) -> bool:
        """Whether every cache has had its first list."""
        return self.caches.is_synced and self.placing.is_synced and self._ways.is_synced

    async def metrics(self) -> bytes:
        """What the health port shows of how fast it decides."""
        telling = self._placer.telling if self._placer is not None else None
        return metrics_text(lambda: load_metrics(telling))

    async def watch(self) -> Never:
        """Run the caches, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.caches.run())
            group.create_task(self.placing.run())
            group.create_task(self._ways.run())
        raise AssertionError("a cache ended by itself")

    async def until_synced(self) -> None:
        """Return when every cache has had its first list."""
        await self.caches.until_synced()
        await self.placing.until_synced()
        await self._ways.until_synced()

    async def work(self) -> None:
        """Run the loops, until cancelled; the caches must run."""
        async with asyncio.TaskGroup() as group:
            for loop in self._loops:
                group.create_task(loop.run())


class Hub:
    """One replica; `name` tells it from its siblings. It places where there is a `scheduling`."""

    def __init__(
        self, kube: KubeClient, *, name: str, scheduling: Scheduling | None = None, clock: Clock = utc_now
    ) -> None:
        self._election = LeaderElection(kube, namespace=SYSTEM_NAMESPACE, name=HUB, identity=name)
        self._parts = HubParts(kube, may_write=self._election.may_write, scheduling=scheduling, clock=clock)

    @property
    def is_ready(self) -> bool:
        """Law 2."""
        return self._parts.is_synced

    async def metrics(self) -> bytes:
        """The page of the health port."""
        return await self._parts.metrics()

    @property
    def is_leading(self) -> bool:
        """Whether this replica writes."""
        return self._election.leading

    async def run(self) -> Never:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._parts.watch())
            await self._parts.until_synced()
            group.create_task(self._election.run(self._parts.work))
        raise AssertionError("a hub ended by itself")


def _while_leading(
    way: Callable[[W], AbstractAsyncContextManager[KubeClient]], *, may_write: Callable[[], None]
) -> Callable[[W], AbstractAsyncContextManager[KubeClient]]:
    """`way`, whose clients write only while `may_write` lets them."""

    @asynccontextmanager
    async def to(where: W) -> AsyncIterator[KubeClient]:
        async with way(where) as client:
            yield client.only_while(may_write)

    return to


async def run_hub(
    kube: KubeClient, *, name: str, scheduling: Scheduling | None = None, clock: Clock = utc_now
) -> Never:
    """The hub with its health port, until cancelled."""
    hub = Hub(kube, name=name, scheduling=scheduling, clock=clock)
    async with health_server(HEALTH_PORT, ready=lambda: hub.is_ready, metrics=hub.metrics):
        await hub.run()
