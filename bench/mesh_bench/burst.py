"""A thousand exports at once, until both clusters have imported all of them."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from mesh_bench.machine import load
from mesh_bench.pair import EXPORTER, IMPORTER, Pair, import_of
from mesh_bench.requests import since, writes
from mesh_bench.results import Burst
from mesh_bench.scene import Key
from mesh_bench.watching import Tally, each, none_left
from mesh_core.objects import EndpointSlice, ServiceExport, ServiceImport

_LIMIT = 600.0


async def burst(pair: Pair, names: list[Key]) -> Burst:
    """Export all of `names`, whose Services are there; the exports stay."""
    now = asyncio.get_running_loop().time
    clusters = pair.bed.clusters
    before = {name: await writes(one.kube) for name, one in clusters.items()}
    spent = pair.cpu()
    with ExitStack() as stack:
        arrivals = {name: stack.enter_context(_imported(pair, name, names)) for name in clusters}
        ready = stack.enter_context(each(pair.eyes[EXPORTER].exports, names, _exported))
        began = now()
        await pair.stock[EXPORTER].export(names)
        created = now() - began
        try:
            async with asyncio.timeout(_LIMIT):
                for last in (*(one.last for one in arrivals.values()), ready.last):
                    await last.reached()
        except TimeoutError:
            pair.check()
    cpu = {name: seconds - spent[name] for name, seconds in pair.cpu().items()}
    return Burst(
        created=created,
        imported={name: (one.last.at or now()) - began for name, one in arrivals.items()},
        ready=(ready.last.at or now()) - began,
        missing=sum(len(one.missing) for one in arrivals.values()) + len(ready.missing),
        cpu=cpu,
        writes={name: since(before[name], await writes(one.kube)) for name, one in clusters.items()},
        load=load(),
    )


async def withdraw(pair: Pair, names: list[Key]) -> tuple[float, int]:
    """Delete the exports of `names`; seconds until nothing of them is left anywhere, and how much was."""
    now = asyncio.get_running_loop().time
    wanted = set(names)
    began = now()
    with ExitStack() as stack:
        moments = []
        for name in (EXPORTER, IMPORTER):
            eyes = pair.eyes[name]
            moments.append(stack.enter_context(none_left(eyes.imports, lambda one: one.key in wanted)))
            moments.append(
                stack.enter_context(
                    none_left(eyes.slices, lambda one: import_of(one, source=EXPORTER) in wanted)
                )
            )
        await pair.stock[EXPORTER].withdraw(names)
        try:
            async with asyncio.timeout(_LIMIT):
                for moment in moments:
                    await moment.reached()
        except TimeoutError:
            pair.check()
        return now() - began, sum(moment.at is None for moment in moments)


@contextmanager
def _imported(pair: Pair, cluster: str, names: list[Key]) -> Iterator[Tally[tuple[str, Key]]]:
    """What `cluster` has yet to show: an import with its IPs, and a slice, for each name."""
    tally = Tally([(kind, key) for kind in ("import", "slice") for key in names])

    def look_import(_old: ServiceImport | None, new: ServiceImport | None) -> None:
        if new is not None and new.spec.ips:
            tally.take(("import", new.key))

    def look_slice(_old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        key = import_of(new, source=EXPORTER) if new is not None else None
        if key is not None:
            tally.take(("slice", key))

    eyes = pair.eyes[cluster]
    with eyes.imports.told(look_import), eyes.slices.told(look_slice):
        yield tally


def _exported(export: ServiceExport) -> Key | None:
    ready = any(c.type == "Ready" and c.status == "True" for c in export.status.conditions)
    return export.key if ready else None
