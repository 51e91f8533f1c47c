"""Works: from the request that creates or changes one on the hub until its condition Applied says so.

The clock starts before the request and stops when the watch on the hub tells of `Applied` True for that
generation. Beside it, the time until the same watch tells of the write itself: what the API server takes.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence

from mesh_bench.watching import Seen, each, first
from mesh_bench.work_samples import Delivered, Filled
from mesh_placement.names import cluster_namespace
from mesh_placement.objects import Work
from mesh_placement.resources import WORKS
from mesh_runtime.kube import Informer, KubeClient

_LIMIT = 60.0
_FILL = 180.0
_WRITERS = 16
_SEED = 1
_MANAGER = "bench"


class Deliveries:
    """Works for the clusters of these ids; `run` watches, and has to run meanwhile."""

    def __init__(self, hub: KubeClient, *, clusters: Sequence[str]) -> None:
        self._hub = hub
        self._clusters = clusters
        self._seen: Seen[Work] = Seen(Informer(hub, WORKS))
        self._dice = random.Random(_SEED)
        self._there: list[tuple[str, str]] = []

    async def run(self) -> None:
        """Watch, for ever."""
        await self._seen.cache.run()

    async def synced(self) -> None:
        """Return when the watch has its first list."""
        await self._seen.cache.synced.wait()

    async def fill(self, count: int) -> Filled:
        """`count` Works for each cluster, as fast as the hub takes them, but none after `_FILL` seconds."""
        now = asyncio.get_running_loop().time
        wanted = [(cluster_namespace(one), f"work-{at:04}") for at in range(count) for one in self._clusters]
        begun = now()
        todo = iter(wanted)
        await asyncio.gather(*(self._write_all(todo, until=begun + _FILL) for _ in range(_WRITERS)))
        wrote = now() - begun
        with each(self._seen, self._there, _applied) as tally:
            try:
                async with asyncio.timeout(_LIMIT):
                    applied = await tally.last.reached() - begun
            except TimeoutError:
                applied = now() - begun
        return Filled(len(wanted), len(self._there), len(tally.missing), wrote, applied)

    async def steady(self, *, rate: float, count: int) -> Delivered:
        """`count` Works, one every 1/`rate` seconds, new ones and changes of what is there in turn.

        Each begins when it is due, whether or not earlier ones are applied.
        """
        made = Delivered()
        now = asyncio.get_running_loop().time
        # Each once, if there are enough: of one object there is at most one report in two seconds.
        changes = self._dice.sample(self._there, len(self._there))
        begun = now()
        async with asyncio.TaskGroup() as group:
            for at in range(count):
                await asyncio.sleep(max(0.0, begun + at / rate - now()))
                if at % 2:
                    key = changes[at // 2 % len(changes)]
                    group.create_task(self._one(key, value=f"changed-{at}", made=made, target=made.changed))
                else:
                    key = cluster_namespace(self._dice.choice(self._clusters)), f"new-{at:04}"
                    group.create_task(self._one(key, value="new", made=made, target=made.created))
        return made

    async def _one(self, key: tuple[str, str], *, value: str, made: Delivered, target: list[float]) -> None:
        now = asyncio.get_running_loop().time

        def is_written(one: Work) -> bool:
            return one.key == key and _value(one) == value

        def is_applied(one: Work) -> bool:
            return is_written(one) and _applied(one) is not None

        with first(self._seen, is_written) as here, first(self._seen, is_applied) as applied:
            begun = now()
            await self._write(key, value)
            try:
                async with asyncio.timeout(_LIMIT):
                    target.append(await applied.reached() - begun)
                made.here.append(await here.reached() - begun)
            except TimeoutError:
                made.errors += 1

    async def _write_all(self, todo: Iterator[tuple[str, str]], *, until: float) -> None:
        for key in todo:
            if asyncio.get_running_loop().time() > until:
                return
            await self._write(key, "first")
            self._there.append(key)

    async def _write(self, key: tuple[str, str], value: str) -> None:
        namespace, name = key
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "default"},
            "data": {"value": value},
        }
        body = {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"workload": {"manifests": [manifest]}},
        }
        await self._hub.apply(WORKS, body, field_manager=_MANAGER)


def _value(one: Work) -> str:
    found: str = one.spec.workload.manifests[0]["data"]["value"]
    return found


def _applied(one: Work) -> tuple[str, str] | None:
    for condition in one.status.conditions:
        if (condition.type, condition.status) == ("Applied", "True"):
            return one.key if condition.observed_generation == one.metadata.generation else None
    return None
