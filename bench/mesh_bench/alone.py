"""One controller alone with very many exports: what it holds, what it costs while idle, how it starts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from mesh_bench.bed import Bed, bed
from mesh_bench.controllers import controller, sign
from mesh_bench.machine import cpu_seconds, load, memory
from mesh_bench.results import FirstPass, Restart
from mesh_bench.scene import keys
from mesh_bench.stock import Stock
from mesh_bench.watching import Seen, each
from mesh_core.import_view import is_ours
from mesh_core.objects import ServiceImport
from mesh_runtime.kube import SERVICE_IMPORTS, Informer

NAME = "alone"
_LIMIT = 1800.0


@asynccontextmanager
async def crowd(*, services: int, endpoints: int) -> AsyncIterator[tuple[Bed, Stock]]:
    """One cluster with `services` exported Services that share `endpoints`; no controller yet."""
    async with bed(NAME) as made:
        stock = Stock(made.clusters[NAME].kube)
        names = keys(services, prefix="crowd")
        await stock.open_namespaces(names)
        await stock.add_services(names, endpoints=endpoints // services)
        await stock.export(names)
        yield made, stock


async def first_pass(made: Bed, *, services: int, profile: Path | None) -> FirstPass:
    """A controller that finds everything exported and nothing imported."""
    cluster = made.clusters[NAME]
    imports: Seen[ServiceImport] = Seen(Informer(cluster.kube, SERVICE_IMPORTS))
    watching = asyncio.create_task(imports.cache.run())
    try:
        await imports.cache.synced.wait()
        with ExitStack() as stack:
            names = keys(services, prefix="crowd")
            tally = stack.enter_context(each(imports, names, _imported))
            async with controller(cluster, profile=profile) as running:
                signing = asyncio.create_task(sign(made, cluster))
                ready = await running.until_ready(limit=_LIMIT)
                try:
                    async with asyncio.timeout(_LIMIT):
                        await tally.last.reached()
                except TimeoutError:
                    running.check()
                await signing
                imported = (tally.last.at or asyncio.get_running_loop().time()) - running.started
                spent = {"controller": cpu_seconds(running.pid)}
                spent |= {name: cpu_seconds(pid) for name, pid in cluster.servers.items()}
                await running.until_idle(limit=_LIMIT)
                return FirstPass(ready, imported, len(tally.missing), memory(running.pid), spent)
    finally:
        watching.cancel()


async def restart(made: Bed, *, idle: float) -> Restart:
    """The controller again, on what it made before; `idle` seconds are watched."""
    async with controller(made.clusters[NAME]) as running:
        ready = await running.until_ready(limit=_LIMIT)
        cpu = cpu_seconds(running.pid)
        await running.until_idle(limit=_LIMIT)
        before = cpu_seconds(running.pid)
        await asyncio.sleep(idle)
        running.check()
        used = cpu_seconds(running.pid) - before
        return Restart(ready, memory(running.pid), 100 * used / idle, cpu, load())


def _imported(one: ServiceImport) -> tuple[str, str] | None:
    return one.key if is_ours(one) and one.spec.ips else None
