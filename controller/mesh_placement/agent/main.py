"""`python -m mesh_placement.agent`: a member's agent in its pod. All it needs is in objects of the cluster.

Stop is not leave: SIGTERM ends the process and leaves every object, here and on the hub, as it is.
"""

from typing import Never

from mesh_core.names import HEALTH_PORT
from mesh_placement.agent.agent import PARTS, Agent
from mesh_placement.agent.delivering import deliver_part
from mesh_placement.agent.hub_door import RealDoor
from mesh_runtime.clock import utc_now
from mesh_runtime.health import health_server
from mesh_runtime.kube import connect
from mesh_runtime.program import Until, run_program


def main() -> Never:
    """Runs until SIGTERM."""
    run_program("the agent", serve)


async def serve(until_stopped: Until) -> None:
    """The agent."""
    async with connect() as member:
        agent = Agent(member, clock=utc_now, door=RealDoor(), parts=PARTS, deliver=deliver_part)
        async with health_server(HEALTH_PORT, ready=lambda: agent.is_ready):
            await until_stopped(agent.run())
