"""What the DNS benchmark measures, one server at a time, in turns (`comparisons.turns`).

1. A server is started for each measurement and has answered every question rightly before it begins.
2. `load` is a share of what the same server could do right before, asked in the same way.
3. Changes go through the API server, and each is of another name than the one before.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from mesh_bench.comparisons import turns
from mesh_bench.dns_figures import COST, LATENCY, LOST, Runs, Taken, change_row, row
from mesh_bench.dns_scene import address, imported_slice, is_headless, slice_name
from mesh_bench.dns_servers import COREDNS, COREDNS_CACHE, OURS, DnsServer, Ground, dns_server
from mesh_bench.dnsperf import Asking, dnsperf
from mesh_bench.figures import Params, Row
from mesh_bench.machine import load
from mesh_bench.scene import Key
from mesh_runtime.kube import ENDPOINT_SLICES, SERVICE_IMPORTS, ApiError, BadAnswer, Unreachable

WORKS = ("queries", "latency", "loss", "changes")
_RIGHT = frozenset({"NOERROR", "NXDOMAIN"})
_CHANGES_PER_S = 100
_AT_ONCE = 16
_TURN = 0.01
_WAYS = ((1, False), (2, False), (1, True))
"""Processes, and whether over TCP."""


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for; `seconds` is how long one measurement lasts."""

    works: Sequence[str]
    systems: Sequence[str]
    runs: int
    seconds: float


Measure = Callable[[DnsServer], Awaitable[Taken]]


async def measured(
    order: Order, *, ground: Ground, names: Sequence[Key], said: Callable[[Row], Row]
) -> list[Row]:
    """The rows of all works asked for."""
    rows: list[Row] = []
    if "queries" in order.works:
        for processes, tcp in _WAYS:
            rows += map(said, await _queries(order, ground, processes=processes, tcp=tcp))
    for work, share, metric in (("latency", 0.5, LATENCY), ("loss", 0.8, LOST)):
        if work in order.works:

            async def loaded(
                server: DnsServer, share: float = share, each: bool = work == "latency"
            ) -> Taken:
                return await _loaded(server, ground, seconds=order.seconds, share=share, each=each)

            runs = await _each(order, ground, loaded)
            rows.append(
                said(row(work, {"load": str(share)}, metric=metric, runs=runs, ours=OURS, load=load()))
            )
    if "changes" in order.works:
        rows.append(said(await _changes(order, ground, names)))
    return rows


async def _queries(order: Order, ground: Ground, *, processes: int, tcp: bool) -> list[Row]:
    """A row for each kind of peer, with and without a cache."""

    async def full(server: DnsServer) -> Taken:
        return await _take(server, ground, _asking(server, ground, seconds=order.seconds, tcp=tcp))

    runs = await _each(order, ground, full, processes=processes)
    rows = []
    for cache, peer in (("no", COREDNS), ("yes", COREDNS_CACHE)):
        shown = {name: taken for name, taken in runs.items() if name not in {COREDNS, COREDNS_CACHE} - {peer}}
        params: Params = {"cache": cache, "processes": processes, "transport": "tcp" if tcp else "udp"}
        rows.append(row("queries", params, metric=COST, runs=shown, ours=OURS, load=load()))
    return rows


async def _loaded(server: DnsServer, ground: Ground, *, seconds: float, share: float, each: bool) -> Taken:
    asking = replace(_asking(server, ground, seconds=seconds), each=each)
    most = (await _take(server, ground, replace(asking, seconds=seconds / 2))).per_s
    return await _take(server, ground, replace(asking, rate=max(1, int(share * most))))


async def _changes(order: Order, ground: Ground, names: Sequence[Key]) -> Row:
    still: dict[str, list[Taken]] = {name: [] for name in order.systems}

    async def both(server: DnsServer) -> Taken:
        asking = _asking(server, ground, seconds=order.seconds)
        still[server.name].append(await _take(server, ground, asking))
        async with _changing(ground, names) as made:
            taken = await _take(server, ground, asking)
            return replace(taken, changes=made.number / taken.seconds, wrong=taken.wrong + made.failed)

    changed = await _each(order, ground, both)
    return change_row(still, changed, per_s=_CHANGES_PER_S, ours=OURS, load=load())


async def _each(order: Order, ground: Ground, measure: Measure, *, processes: int = 1) -> Runs:
    taken: dict[str, list[Taken]] = {name: [] for name in order.systems}
    for run in range(order.runs):
        for name in turns(order.systems, run=run):
            async with dns_server(name, processes=processes, ground=ground) as server:
                taken[name].append(await measure(server))
    return taken


def _asking(server: DnsServer, ground: Ground, *, seconds: float, tcp: bool = False) -> Asking:
    return Asking("127.0.0.1", server.port, ground.questions, seconds=seconds, tcp=tcp)


async def _take(server: DnsServer, ground: Ground, asking: Asking) -> Taken:
    before = server.cpu_seconds()
    came = await dnsperf(asking, network=ground.cluster.network)
    return Taken(
        answers=came.answers,
        wrong=sum(number for code, number in came.rcodes.items() if code not in _RIGHT),
        lost=came.lost,
        seconds=came.seconds,
        cpu_s=server.cpu_seconds() - before,
        latencies=came.latencies,
        offered=float(asking.rate),
    )


@dataclass(slots=True)
class _Made:
    """Changes that were made, and that failed."""

    number: int = 0
    failed: int = 0
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)


@asynccontextmanager
async def _changing(ground: Ground, names: Sequence[Key]) -> AsyncIterator[_Made]:
    """Changes names at the rate while the block runs; what the API server cannot keep up with is left out."""
    made = _Made()
    gate = asyncio.Semaphore(_AT_ONCE)

    async def change(number: int) -> None:
        async with gate:
            try:
                await _change(ground, names, number)
            except (ApiError, BadAnswer, Unreachable):
                made.failed += 1
            else:
                made.number += 1

    async def go_on() -> None:
        now = asyncio.get_running_loop().time
        began, begun = now(), 0
        async with asyncio.TaskGroup() as group:
            while True:
                while begun < (now() - began) * _CHANGES_PER_S and not gate.locked():
                    group.create_task(change(begun))
                    begun += 1
                await asyncio.sleep(_TURN)

    going = asyncio.create_task(go_on())
    try:
        yield made
    finally:
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)


async def _change(ground: Ground, names: Sequence[Key], number: int) -> None:
    """Another last endpoint for a headless name, another address for any other."""
    at, round_ = number % len(names), number // len(names) + 1
    key = names[at]
    if is_headless(at):
        body = {"endpoints": imported_slice(key, at, round_=round_)["endpoints"]}
        await ground.cluster.kube.merge_patch(ENDPOINT_SLICES, slice_name(key), body, namespace=key[0])
    else:
        body = {"spec": {"ips": [address(at, round_=round_)]}}
        await ground.cluster.kube.merge_patch(SERVICE_IMPORTS, key[1], body, namespace=key[0])
