"""One change at a time, until the other cluster shows it: an endpoint's readiness, a single new export."""

import asyncio
import json
import random

from mesh_bench.pair import EXPORTER, IMPORTER, Pair, import_of, ready_text
from mesh_bench.results import Samples
from mesh_bench.scene import Key, endpoint_list, source_slice
from mesh_bench.watching import Seen, first
from mesh_core.objects import EndpointSlice
from mesh_runtime.kube import ENDPOINT_SLICES, ApiError, BadAnswer, Unreachable

LIMIT = 30.0
"""Seconds after which a change counts as lost."""
ENDPOINTS = 3
# Seconds; changes come at no fixed beat, which could fall in with a loop of ours.
_LONGEST_PAUSE = 0.05


async def change_readiness(pair: Pair, names: list[Key], *, count: int, dice: random.Random) -> Samples:
    """`count` changes of one endpoint at random exported Services, one after another."""
    samples = Samples()
    ready = dict.fromkeys(names, ENDPOINTS)
    for _ in range(count):
        key = dice.choice(names)
        ready[key] = ENDPOINTS - 1 if ready[key] == ENDPOINTS else ENDPOINTS
        try:
            async with asyncio.timeout(LIMIT):
                here, elsewhere = await _change(pair, key, ready=ready[key])
        except (TimeoutError, ApiError, BadAnswer, Unreachable):
            pair.check()
            samples.errors += 1
        else:
            samples.here.append(here)
            samples.elsewhere.append(elsewhere)
        await asyncio.sleep(dice.uniform(0, _LONGEST_PAUSE))
    # All ready again, for whoever measures next.
    for key in [key for key, number in ready.items() if number != ENDPOINTS]:
        await _change(pair, key, ready=ENDPOINTS)
    return samples


async def export_one_by_one(pair: Pair, names: list[Key]) -> Samples:
    """Export each of `names`, whose Services and slices are there, when the one before is imported."""
    samples = Samples()
    for key in names:
        failed = pair.errors()
        try:
            async with asyncio.timeout(LIMIT):
                samples.elsewhere.append(await _export(pair, key))
        except TimeoutError:
            pair.check()
            samples.errors += 1
        samples.errors += pair.errors() - failed
        await asyncio.sleep(_LONGEST_PAUSE)
    return samples


async def _export(pair: Pair, key: Key) -> float:
    """Seconds from the request until the slice's event elsewhere."""
    now = asyncio.get_running_loop().time
    slices = pair.eyes[IMPORTER].slices
    with first(slices, lambda piece: import_of(piece, source=EXPORTER) == key) as come:
        began = now()
        await pair.stock[EXPORTER].export([key])
        return await come.reached() - began


async def _change(pair: Pair, key: Key, *, ready: int) -> tuple[float, float]:
    """Seconds from the request until its event here and the written slice's event elsewhere."""
    now = asyncio.get_running_loop().time
    name = source_slice(key)
    wanted = json.dumps({"http": ready})

    def is_ours(piece: EndpointSlice) -> bool:
        return piece.key == (key[0], name) and _ready_in(piece) == ready

    def is_told(piece: EndpointSlice) -> bool:
        return import_of(piece, source=EXPORTER) == key and ready_text(piece) == wanted

    own: Seen[EndpointSlice] = pair.eyes[EXPORTER].own_slices
    with first(own, is_ours) as here, first(pair.eyes[IMPORTER].slices, is_told) as elsewhere:
        began = now()
        await pair.exporter.kube.merge_patch(
            ENDPOINT_SLICES,
            name,
            {"endpoints": endpoint_list(ENDPOINTS, ready=ready)},
            namespace=key[0],
        )
        return await here.reached() - began, await elsewhere.reached() - began


def _ready_in(piece: EndpointSlice) -> int:
    return sum(endpoint.is_ready for endpoint in piece.endpoints or ())
