"""`python -m mesh_placement.access`: the access proxy in its pod."""

from mesh_placement.access.access import run_access, settings_in
from mesh_runtime.kube import connect
from mesh_runtime.program import Until, run_program


async def serve(until_stopped: Until) -> None:
    """The access proxy."""
    async with connect() as kube:
        await until_stopped(run_access(kube, settings=settings_in()))


if __name__ == "__main__":
    run_program("the access proxy", serve)
