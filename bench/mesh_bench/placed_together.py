"""The hub's own loop on an API server: Placements that are all created at once, until all are given out.

The loop runs in this process, with the plug-ins that come with us, on a light cluster: etcd and an API server
that really store. Members are rows; nobody judges their Leases, so they stay as they are.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from mesh_bench import placed_fleet
from mesh_bench.hub_bed import hub_bed
from mesh_bench.placed_fleet import COPIES, NAMESPACE, Json, Placed
from mesh_bench.watching import Moment, Seen
from mesh_placement.hub.caches import HubCaches
from mesh_placement.hub.placing.caches import PlacementCaches
from mesh_placement.hub.placing.loop import PlacementLoop
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import placed_name
from mesh_placement.objects import Assignment
from mesh_placement.resources import ASSIGNMENTS, CLUSTER_CAPACITIES, CLUSTER_REGISTRATIONS, PLACEMENTS
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import NAMESPACES, Informer, KubeClient, connect

_LIMIT = 180.0
_WRITERS = 16


async def placed_together(*, clusters: int, placements: int, runs: int) -> list[Placed]:
    """Each run adds as many Placements to those that are there."""
    async with hub_bed(0) as bed:
        kube = bed.hub.kube
        await _with_members(kube, clusters)
        # By the rights of the hub's own account: nobody else may say where a Placement is.
        async with connect(kubeconfig=bed.hub.account) as own, _hub(own), _assignments(kube) as seen:
            return [await _run(kube, seen, clusters, placements, run) for run in range(runs)]


async def _with_members(kube: KubeClient, clusters: int) -> None:
    async def space(name: str) -> None:
        await kube.create(NAMESPACES, {"metadata": {"name": name}})

    async def member(number: int, name: str) -> None:
        body, room = placed_fleet.registration(name, number), placed_fleet.capacity(name)
        await kube.create(CLUSTER_REGISTRATIONS, body)
        await kube.merge_patch(CLUSTER_REGISTRATIONS, name, {"status": body["status"]}, subresource="status")
        await kube.create(CLUSTER_CAPACITIES, room)
        meta = room["metadata"]
        await kube.merge_patch(
            CLUSTER_CAPACITIES,
            meta["name"],
            {"status": room["status"]},
            namespace=meta["namespace"],
            subresource="status",
        )

    await _all(space(name) for name in placed_fleet.namespaces(clusters))
    await _all(member(number, name) for number, name in enumerate(placed_fleet.names(clusters)))


async def _all(works: Iterable[Awaitable[None]]) -> None:
    """All of them, a few at a time."""
    free = asyncio.Semaphore(_WRITERS)

    async def one(work: Awaitable[None]) -> None:
        async with free:
            await work

    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(one(work))


@asynccontextmanager
async def _hub(kube: KubeClient) -> AsyncIterator[None]:
    """The loop that decides and carries out, leading while the block runs."""
    hub = HubCaches(kube)
    caches = PlacementCaches(kube, hub=hub)
    loop = PlacementLoop(kube, caches=caches, scheduling=installed_scheduling(), clock=utc_now)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(hub.run()), group.create_task(caches.run())]
        await hub.until_synced()
        await caches.until_synced()
        running.append(group.create_task(loop.run()))
        try:
            yield
        finally:
            for task in running:
                task.cancel()


@asynccontextmanager
async def _assignments(kube: KubeClient) -> AsyncIterator[Seen[Assignment]]:
    seen: Seen[Assignment] = Seen(Informer(kube, ASSIGNMENTS))
    watching = asyncio.create_task(seen.cache.run())
    try:
        await seen.cache.synced.wait()
        yield seen
    finally:
        watching.cancel()


async def _run(kube: KubeClient, seen: Seen[Assignment], clusters: int, placements: int, run: int) -> Placed:
    now: Callable[[], float] = asyncio.get_running_loop().time
    names = [f"app-{run}-{at:04}" for at in range(placements)]
    called = {placed_name(NAMESPACE, name=name): name for name in names}
    begun: dict[str, float] = {}
    ended: dict[str, float] = {}
    there: dict[str, int] = {}
    last = Moment()

    def look(old: Assignment | None, new: Assignment | None) -> None:
        name = called.get(new.metadata.name) if old is None and new is not None else None
        if name is None:
            return
        there[name] = there.get(name, 0) + 1
        if there[name] == COPIES:
            ended[name] = now()
            if len(ended) == placements:
                last.now()

    async def create(name: str) -> None:
        body: Json = placed_fleet.placement(name)
        begun[name] = now()
        await kube.create(PLACEMENTS, body)

    cpu, start = time.process_time(), now()
    with seen.told(look):
        await _all(create(name) for name in names)
        created = now() - start
        try:
            async with asyncio.timeout(_LIMIT):
                whole = await last.reached() - start
        except TimeoutError:
            whole = now() - start
    each = tuple(ended[name] - begun[name] for name in names if name in ended)
    spent = time.process_time() - cpu
    return Placed(clusters, placements, whole, created, each, spent, missing=placements - len(ended))
