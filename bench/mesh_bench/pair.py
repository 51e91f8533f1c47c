"""Two members whose controllers run, east that exports and west that imports, and eyes on both."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mesh_bench.bed import Bed, Cluster, bed
from mesh_bench.controllers import Controller, controllers
from mesh_bench.machine import cpu_seconds
from mesh_bench.scene import Key
from mesh_bench.stock import Stock
from mesh_bench.watching import Seen
from mesh_core.names import (
    ANNOTATION_READY_ENDPOINTS,
    LABEL_LANE,
    LABEL_SERVICE_NAME,
    LABEL_SOURCE_CLUSTER,
    MANAGER,
)
from mesh_core.names import LABEL_SLICE_MANAGED_BY as MANAGED_BY
from mesh_core.objects import EndpointSlice, ServiceExport, ServiceImport
from mesh_runtime.kube import ENDPOINT_SLICES, SERVICE_EXPORTS, SERVICE_IMPORTS, Informer

EXPORTER, IMPORTER = "east", "west"
_LIMIT = 300.0


class Eyes:
    """The watches on one cluster; slices only those of imports."""

    def __init__(self, cluster: Cluster) -> None:
        self.imports: Seen[ServiceImport] = Seen(Informer(cluster.kube, SERVICE_IMPORTS))
        self.exports: Seen[ServiceExport] = Seen(Informer(cluster.kube, SERVICE_EXPORTS))
        self.slices: Seen[EndpointSlice] = Seen(
            Informer(cluster.kube, ENDPOINT_SLICES, labels=f"{MANAGED_BY}={MANAGER}")
        )
        self.own_slices: Seen[EndpointSlice] = Seen(
            Informer(cluster.kube, ENDPOINT_SLICES, labels=f"!{LABEL_SERVICE_NAME}")
        )

    async def run(self) -> None:
        """Watch, for ever."""
        async with asyncio.TaskGroup() as group:
            for cache in (self.imports, self.exports, self.slices, self.own_slices):
                group.create_task(cache.cache.run())

    async def synced(self) -> None:
        """Return when every watch has its first list."""
        for cache in (self.imports, self.exports, self.slices, self.own_slices):
            await cache.cache.synced.wait()


@dataclass(frozen=True, slots=True)
class Pair:
    """The two, running; `stock` is what was made in each."""

    bed: Bed
    controllers: dict[str, Controller]
    eyes: dict[str, Eyes]
    stock: dict[str, Stock]

    @property
    def exporter(self) -> Cluster:
        return self.bed.clusters[EXPORTER]

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far by "<cluster> <program>"."""
        spent: dict[str, float] = {}
        for name, cluster in self.bed.clusters.items():
            spent[f"{name} controller"] = cpu_seconds(self.controllers[name].pid)
            spent |= {f"{name} {program}": cpu_seconds(pid) for program, pid in cluster.servers.items()}
        return spent

    def controllers_cpu(self) -> float:
        """CPU seconds of both controllers so far."""
        return sum(cpu_seconds(one.pid) for one in self.controllers.values())

    async def until_idle(self) -> None:
        """Until the controllers have nothing left to do."""
        for one in self.controllers.values():
            await one.until_idle(limit=_LIMIT)

    def check(self) -> None:
        """Raises ControllerFault when one has ended."""
        for one in self.controllers.values():
            one.check()

    async def open_namespaces(self, names: Iterable[Key]) -> None:
        """The namespaces of `names`, in both."""
        for stock in self.stock.values():
            await stock.open_namespaces(list(names))

    def errors(self) -> int:
        """Requests of ours that failed, so far."""
        return sum(stock.errors for stock in self.stock.values())


@asynccontextmanager
async def pair(*, profile: Path | None = None) -> AsyncIterator[Pair]:
    """East and west, connected, watched; gone when the block ends."""
    async with bed(EXPORTER, IMPORTER) as made, controllers(made, profile=profile) as running:
        eyes = {name: Eyes(cluster) for name, cluster in made.clusters.items()}
        stock = {name: Stock(cluster.kube) for name, cluster in made.clusters.items()}
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one.run()) for one in eyes.values()]
            for one in eyes.values():
                await one.synced()
            yield Pair(made, running, eyes, stock)
            for task in tasks:
                task.cancel()


def import_of(piece: EndpointSlice, *, source: str) -> Key | None:
    """The import whose slice with endpoints of `source` this is; None for others, and for lanes."""
    labels = piece.metadata.labels
    if labels.get(LABEL_SOURCE_CLUSTER) != source or LABEL_LANE in labels:
        return None
    return piece.metadata.namespace, labels.get(LABEL_SERVICE_NAME, "")


def ready_text(piece: EndpointSlice) -> str:
    """What a remote cluster's slice says of its ready endpoints, as it stands there."""
    return piece.metadata.annotations.get(ANNOTATION_READY_ENDPOINTS, "")
