"""One look at an API server that does not hide the others: what it gave, or why it gave nothing."""

import asyncio
import json
import time
from collections.abc import Awaitable
from datetime import timedelta
from typing import Final, TypeVar

from mesh_cli.check.findings import ClockSeen
from mesh_cli.check.verdict import Unseen
from mesh_cli.table import one_line
from mesh_core.errors import MeshError
from mesh_runtime.clock import Clock
from mesh_runtime.kube import KubeClient

T = TypeVar("T")

_READ_LIMIT: Final = 6.0
"""Seconds: a busy API server needs them, and one that stands still is found by a question of its own."""
_LATER: Final = "it is slow now: ask again, one cluster or one area at a time (--only MESH-DNS)"


async def seen_or_why(
    work: Awaitable[T], *, limit: float = _READ_LIMIT, who: str = "the API server"
) -> T | Unseen:
    """What `work` gives, or why it does not; `who` is to blame when it takes too long."""
    try:
        async with asyncio.timeout(limit):
            return await work
    except TimeoutError:
        return Unseen(f"{who} did not answer within {limit:g} s", _LATER)
    except MeshError as error:
        return Unseen(one_line(error.what))
    except ExceptionGroup as group:
        ours, others = group.split(MeshError)
        if others is not None or ours is None:
            raise
        return Unseen(one_line(str(ours.exceptions[0])))


async def server_version(client: KubeClient) -> str:
    """The API server's version, as "v1.31.2"; raises ApiError or Unreachable."""
    return str(json.loads(await client.request("GET", "/version"))["gitVersion"])


async def skew(client: KubeClient, *, clock: Clock) -> ClockSeen:
    """By a connection that stands: half a second is what a time cut to the second leaves open."""
    began, start = clock(), time.monotonic()
    told = await client.time()
    took = time.monotonic() - start
    ahead = told + timedelta(seconds=0.5) - (began + timedelta(seconds=took / 2))
    return ClockSeen(ahead=ahead.total_seconds(), within=0.5 + took / 2)
