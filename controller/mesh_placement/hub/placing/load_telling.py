"""Says in each ClusterSet whether the hub keeps its pace (`decide.overload`), and in metrics how fast it is.

Written when the word changes, not with each number, and not before it was overloaded once.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from prometheus_client.metrics_core import Metric

from mesh_core.conditions import as_json, settled, truth
from mesh_core.objects import Condition
from mesh_placement.decide.overload import HUB_OVERLOADED, Load, LoadBook, LoadReason
from mesh_placement.hub.placing.caches import PlacementCaches
from mesh_placement.names import HUB_MANAGER
from mesh_placement.objects import ClusterSet
from mesh_placement.resources import CLUSTER_SETS
from mesh_runtime.clock import Clock
from mesh_runtime.kube import ApiError, KubeClient
from mesh_runtime.log import logger
from mesh_runtime.metrics_text import Families

_log = logger(__name__)

LOOK: Final = 15.0
"""Seconds until another look while it is overloaded, or while a cycle goes on."""
_MANAGER: Final = f"load.{HUB_MANAGER}"
_FAMILIES: Final = Families("meshctl_hub_")


class LoadTelling:
    """One a term of leadership."""

    def __init__(self, kube: KubeClient, *, caches: PlacementCaches, clock: Clock) -> None:
        self.book = LoadBook()
        self._kube = kube
        self._caches = caches
        self._clock = clock
        self._waiting: dict[object, float] = {}
        self._was_overloaded = False

    def added(self, key: object) -> None:
        """It waits for a worker, from now on unless it did already."""
        self._waiting.setdefault(key, _now())

    def taken(self, key: object) -> None:
        """A worker has it."""
        since = self._waiting.pop(key, None)
        if since is not None:
            self.book.waited(_now() - since, now=_now())

    def load(self) -> Load:
        """As it is now."""
        return self.book.load(_now(), oldest=min(self._waiting.values(), default=None))

    async def tell(self) -> float | None:
        """Write the word where it is another one; seconds until the next look, None: after the next cycle."""
        load = self.load()
        if load.is_overloaded != self._was_overloaded:
            self._was_overloaded = load.is_overloaded
            say = _log.warning if load.is_overloaded else _log.info
            say("the hub is overloaded" if load.is_overloaded else "the hub keeps its pace", why=load.message)
        for one in self._caches.hub.sets.values():
            await self._say(one, load)
        return LOOK if load.is_overloaded or load.cycle_now > 0 else None

    async def _say(self, one: ClusterSet, load: Load) -> None:
        shown = next((each for each in one.status.conditions if each.type == HUB_OVERLOADED), None)
        wanted = Condition(
            type=HUB_OVERLOADED,
            status=truth(load.is_overloaded),
            reason=load.reason.value,
            message=load.message,
            observed_generation=one.metadata.generation,
        )
        known = (
            (shown.status, shown.reason) if shown is not None else (truth(False), LoadReason.KEEPS_PACE.value)
        )
        if known == (wanted.status, wanted.reason):
            return
        if one.metadata.deletion_timestamp is not None:
            return
        condition = settled(wanted, before=one.status.conditions, now=self._clock())
        body = {
            "metadata": {"name": one.metadata.name, "uid": one.metadata.uid},
            "status": {"conditions": [as_json(condition)]},
        }
        try:
            await self._kube.apply(CLUSTER_SETS, body, field_manager=_MANAGER, subresource="status")
        except ApiError as error:
            if not error.is_not_found and not error.is_conflict:
                raise


def load_metrics(telling: LoadTelling | None) -> Iterable[Metric]:
    """What the hub's page shows; a replica that does not lead has no load."""
    load = telling.load() if telling is not None else Load()
    cycles = _FAMILIES.counter("cycles", "Times that all Placements were decided, in this term.")
    cycles.add_metric([], telling.book.cycles if telling is not None else 0)
    yield cycles
    took = _FAMILIES.gauge("cycle_seconds", "To decide all Placements, in the last 5 min.", "quantile")
    took.add_metric(["0.5"], load.cycle_p50)
    took.add_metric(["0.99"], load.cycle_p99)
    yield took
    waited = _FAMILIES.gauge(
        "queue_wait_seconds", "What was to be done waited, in the last 5 min.", "quantile"
    )
    waited.add_metric(["0.99"], load.wait_p99)
    yield waited
    yield from _FAMILIES.gauges(
        (
            ("queue_oldest_seconds", "What waits longest has been waiting.", load.wait_now),
            ("leading", "1 while this replica leads.", float(telling is not None)),
            ("overloaded", "1 while the hub does not keep its pace.", float(load.is_overloaded)),
        )
    )
    yield _FAMILIES.build()


def _now() -> float:
    return asyncio.get_running_loop().time()
