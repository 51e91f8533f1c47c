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


class Hub:
    """One replica; `name` tells it from its siblings. It places where there is a `scheduling`."""

    def __init__(
        self, kube: KubeClient, *, name: str, scheduling: Scheduling | None = None, clock: Clock = utc_now
    ) -> None:
        self._caches = HubCaches(kube)
        self._ways = Ways(kube, clock=clock)
        self._placing = PlacementCaches(kube, hub=self._caches)
        self._election = LeaderElection(kube, namespace=SYSTEM_NAMESPACE, name=HUB, identity=name)
        may_write = self._election.may_write
        self._loops = hub_loops(
            kube.only_while(may_write),
            caches=self._caches,
            clock=clock,
            way=_while_leading(self._ways.to, may_write=may_write),
            connect=_while_leading(connect_member, may_write=may_write),
        )
        self._loops += (ImportLoop(kube.only_while(may_write), caches=self._caches),)
        if scheduling is not None:
            placing = kube.only_while(may_write)
            self._loops += (
                PlacementLoop(placing, caches=self._placing, scheduling=scheduling, clock=clock),
                OrderLoop(
                    placing,
                    caches=self._placing,
                    demand_of=lambda one: scheduling.demand_of(one, (self._placing.rules,)),
                    clock=clock,
                ),
            )

    @property
    def is_ready(self) -> bool:
        """Law 2."""
        return self._caches.is_synced and self._placing.is_synced and self._ways.is_synced

    @property
    def is_leading(self) -> bool:
        """Whether this replica writes."""
        return self._election.leading

    async def run(self) -> Never:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._caches.run())
            group.create_task(self._placing.run())
            group.create_task(self._ways.run())
            await self._caches.until_synced()
            await self._placing.until_synced()
            await self._ways.until_synced()
            group.create_task(self._election.run(self._lead))
        raise AssertionError("a hub ended by itself")

    async def _lead(self) -> None:
        async with asyncio.TaskGroup() as group:
            for loop in self._loops:
                group.create_task(loop.run())


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
    async with health_server(HEALTH_PORT, ready=lambda: hub.is_ready):
        await hub.run()
