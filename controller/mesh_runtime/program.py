"""What the programs that run in one process have in common: how they begin, end, and say why they cannot run.

Stop is not remove: SIGTERM ends the process, and leaves every object as it is.
"""

import asyncio
import socket
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Never

import uvloop

from mesh_core.errors import MeshError, causes
from mesh_runtime.again import BeginsAnew, begin_anew
from mesh_runtime.log import configure, logger
from mesh_runtime.signals import stop_at_signal

_log = logger(__name__)

Until = Callable[[Coroutine[Any, Any, object]], Awaitable[None]]  # Any: what nobody sends or awaits
"""Runs what it is given until the process is told to end."""


def run_program(name: str, serve: Callable[[Until], Coroutine[Any, Any, None]]) -> Never:
    """Run `serve` until SIGTERM or SIGINT; the exit code is 0 then, and 1 after an error that was logged.

    An error that is `BeginsAnew` starts the program anew in this process, unless that happens too often.
    `name` is what a person calls it ("the agent"). Any: as above.
    """
    configure()
    failed = anew = False
    try:
        uvloop.run(_begun(serve))
    except* MeshError as group:
        failed = True
        anew = all(isinstance(error, BeginsAnew) for error in causes(group))
        for error in causes(group):
            if anew:
                _log.warning(f"{name} begins anew", why=error.what)
            else:
                _log.error(f"{name} cannot run", why=str(error))
    if anew:
        begin_anew(now=time.monotonic())
    sys.exit(1 if failed else 0)


def replica_name() -> str:
    """What tells this replica from its siblings: the pod's name, and this start of it."""
    return f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"


async def _begun(serve: Callable[[Until], Coroutine[Any, Any, None]]) -> None:
    """`serve`, with signals heard from before it begins."""
    stop = stop_at_signal()

    async def until_stopped(work: Coroutine[Any, Any, object]) -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(work)
            await stop.wait()
            _log.info("stopping")
            task.cancel()

    await serve(until_stopped)
