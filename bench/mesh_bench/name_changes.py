"""One change of an endpoint at a time, until a pod is told by DNS: when each station on the way had it.

The stations: `api_server` has the write and tells its own watchers; `record`, in the other cluster, what its
peer sent lies in the API; `slice`, the imported slice there says it; `mesh_dns`, its Service gives the new
answer to a pod; `coredns`, so does cluster DNS. The last two are in it when no older answer follows.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mesh_bench.full_pair import NAMESPACE
from mesh_bench.name_hearing import Heard
from mesh_bench.name_objects import ENDPOINTS, endpoints, slice_name
from mesh_bench.name_turns import Wanted, first, settled
from mesh_bench.watching import Moment, Seen
from mesh_bench.watching import first as first_event
from mesh_core.names import LABEL_KUBERNETES_SERVICE, LABEL_SERVICE_NAME
from mesh_core.objects import EndpointSlice, ImportedShard
from mesh_runtime.kube import (
    ENDPOINT_SLICES,
    IMPORTED_SHARDS,
    ApiError,
    BadAnswer,
    Informer,
    KubeClient,
    Unreachable,
)

STATIONS = ("api_server", "record", "slice", "mesh_dns_first", "mesh_dns", "coredns_first", "coredns")
KINDS = ("readiness", "replaced")
LIMIT = 30.0
"""Seconds after which a change counts as lost."""
# Seconds after the first new answer in which an older one would still be seen.
_QUIET = 0.3
_LONGEST_PAUSE = 0.05


@dataclass(slots=True)
class Told:
    """Seconds from a change until each station had it, change by change; `errors` never came."""

    stations: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in STATIONS})
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Eyes:
    """What is watched of one Service: its slice where it is exported, and in the asker's cluster what is
    imported of it."""

    service: str
    exporter: KubeClient
    own: Seen[EndpointSlice]
    records: Seen[ImportedShard]
    slices: Seen[EndpointSlice]

    @property
    def imported(self) -> tuple[str, ...]:
        """Ready addresses of the imported slices, sorted."""
        found = {
            address
            for piece in self.slices.cache.values()
            for endpoint in piece.endpoints or ()
            if endpoint.is_ready
            for address in endpoint.addresses
        }
        return tuple(sorted(found))


@asynccontextmanager
async def watched(service: str, *, exporter: KubeClient, importer: KubeClient) -> AsyncIterator[Eyes]:
    """Eyes on `service` while the block runs."""
    own = f"{LABEL_KUBERNETES_SERVICE}={service}"
    imported = f"{LABEL_SERVICE_NAME}={service}"
    eyes = Eyes(
        service,
        exporter,
        Seen(Informer(exporter, ENDPOINT_SLICES, namespace=NAMESPACE, labels=own)),
        Seen(Informer(importer, IMPORTED_SHARDS)),
        Seen(Informer(importer, ENDPOINT_SLICES, namespace=NAMESPACE, labels=imported)),
    )
    async with asyncio.TaskGroup() as tasks:
        caches = (eyes.own.cache, eyes.records.cache, eyes.slices.cache)
        running = [tasks.create_task(cache.run()) for cache in caches]
        for cache in caches:
            await cache.synced.wait()
        yield eyes
        for task in running:
            task.cancel()


async def change(eyes: Eyes, heard: Heard, *, kind: str, count: int, dice: random.Random) -> Told:
    """`count` changes of one endpoint, one after another; afterwards all are ready.

    `readiness`: the last endpoint is ready no more, or again. `replaced`: another one is in its place, as
    when a Deployment's pod is.
    """
    told = Told()
    numbers, ready, fresh = list(range(ENDPOINTS)), ENDPOINTS, dice.randrange(1000, 30_000)
    for _ in range(count):
        if kind == "readiness":
            ready = ENDPOINTS - 1 if ready == ENDPOINTS else ENDPOINTS
        else:
            fresh += 1
            numbers[-1] = fresh
        wanted = Wanted(heard.last("coredns"), ready)
        try:
            async with asyncio.timeout(LIMIT):
                await _one(eyes, heard, body=endpoints(numbers, ready=ready), wanted=wanted, told=told)
        except (TimeoutError, ApiError, BadAnswer, Unreachable):
            told.errors += 1
        await asyncio.sleep(dice.uniform(0, _LONGEST_PAUSE))
    if ready != ENDPOINTS:
        await _write(eyes, endpoints(numbers, ready=ENDPOINTS))
        await heard.until("coredns", wanted=Wanted((), ENDPOINTS))
    return told


async def _one(
    eyes: Eyes, heard: Heard, *, body: list[dict[str, object]], wanted: Wanted, told: Told
) -> None:
    now = asyncio.get_running_loop().time
    piece = Moment()

    def look(_old: EndpointSlice | None, _new: EndpointSlice | None) -> None:
        if wanted.met(eyes.imported):
            piece.now()

    with eyes.slices.told(look), first_event(eyes.own, lambda _: True) as own:
        with first_event(eyes.records, lambda _: True) as record:
            began = now()
            await _write(eyes, body)
            await heard.until("coredns", wanted=wanted)
            await heard.until("mesh_dns", wanted=wanted)
            await asyncio.sleep(_QUIET)
    events = {"api_server": own.at, "record": record.at, "slice": piece.at}
    taken = {name: at - began for name, at in events.items() if at is not None}
    for server in ("mesh_dns", "coredns"):
        for name, when in ((f"{server}_first", first), (server, settled)):
            took = when(heard.turns, server=server, since=began, wanted=wanted)
            if took is None:
                raise TimeoutError(f"{server} went back to an older answer")
            taken[name] = took
    for name, took in taken.items():
        told.stations[name].append(took)


async def _write(eyes: Eyes, body: list[dict[str, object]]) -> None:
    name = slice_name(eyes.service)
    await eyes.exporter.merge_patch(ENDPOINT_SLICES, name, {"endpoints": body}, namespace=NAMESPACE)
