"""`python -m mesh_placement.hub`: the hub in its pod. Everything it needs is in objects of the cluster."""

from mesh_placement.hub.hub import run_hub
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_runtime.kube import connect
from mesh_runtime.program import Until, replica_name, run_program


async def serve(until_stopped: Until) -> None:
    """The hub."""
    async with connect() as kube:
        await until_stopped(run_hub(kube, name=replica_name(), scheduling=installed_scheduling()))


if __name__ == "__main__":
    run_program("the hub", serve)
