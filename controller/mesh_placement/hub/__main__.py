"""`python -m mesh_placement.hub`: the hub in its pod. Everything it needs is in objects of the cluster."""

import asyncio
import socket
import sys
import uuid

import uvloop

from mesh_core.errors import MeshError, causes
from mesh_placement.hub.hub import run_hub
from mesh_placement.hub.scheduling import installed_scheduling
from mesh_runtime.kube import connect
from mesh_runtime.log import configure, logger
from mesh_runtime.signals import stop_at_signal

_log = logger(__name__)


def main() -> None:
    """Runs until SIGTERM; the exit code is 0 then, and 1 after an error that was logged."""
    configure()
    failed = False
    try:
        uvloop.run(_serve())
    except* MeshError as group:
        failed = True
        for error in causes(group):
            _log.error("the hub cannot run", why=str(error))
    sys.exit(1 if failed else 0)


async def _serve() -> None:
    stop = stop_at_signal()
    async with connect() as kube, asyncio.TaskGroup() as group:
        # What tells this replica from its siblings: the pod's name, and this start of it.
        name = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        work = group.create_task(run_hub(kube, name=name, scheduling=installed_scheduling()))
        await stop.wait()
        _log.info("stopping")
        work.cancel()


if __name__ == "__main__":
    main()
