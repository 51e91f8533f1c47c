"""`python -m mesh_placement.agent`: a member's agent in its pod. All it needs is in objects of the cluster.

Stop is not leave: SIGTERM ends the process and leaves every object, here and on the hub, as it is.
"""

import asyncio
import sys

import uvloop

from mesh_core.errors import MeshError, causes
from mesh_core.names import HEALTH_PORT
from mesh_placement.agent.agent import PARTS, Agent
from mesh_placement.agent.delivering import deliver_part
from mesh_placement.agent.hub_door import RealDoor
from mesh_runtime.clock import utc_now
from mesh_runtime.health import health_server
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
            _log.error("the agent cannot run", why=str(error))
    sys.exit(1 if failed else 0)


async def serve() -> None:
    """The agent, until SIGTERM or SIGINT."""
    stop = stop_at_signal()
    async with connect() as member:
        agent = Agent(member, clock=utc_now, door=RealDoor(), parts=PARTS, deliver=deliver_part)
        async with health_server(HEALTH_PORT, ready=lambda: agent.is_ready), asyncio.TaskGroup() as group:
            work = group.create_task(agent.run())
            await stop.wait()
            _log.info("stopping")
            work.cancel()
