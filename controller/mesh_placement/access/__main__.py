"""`python -m mesh_placement.access`: the access proxy in its pod."""

import asyncio
import sys

import uvloop

from mesh_core.errors import MeshError, causes
from mesh_placement.access.access import run_access, settings_in
from mesh_runtime.kube import connect
from mesh_runtime.log import configure, logger
from mesh_runtime.signals import stop_at_signal

_log = logger(__name__)


def main() -> None:
    """Runs until SIGTERM; the exit code is 0 then, and 1 after an error that was logged."""
    configure()
    failed = False
    try:
        uvloop.run(serve())
    except* MeshError as group:
        failed = True
        for error in causes(group):
            _log.error("the access proxy cannot run", why=str(error))
    sys.exit(1 if failed else 0)


async def serve() -> None:
    """The access proxy, until SIGTERM or SIGINT."""
    stop = stop_at_signal()
    async with connect() as kube, asyncio.TaskGroup() as group:
        work = group.create_task(run_access(kube, settings=settings_in()))
        await stop.wait()
        _log.info("stopping")
        work.cancel()


if __name__ == "__main__":
    main()
