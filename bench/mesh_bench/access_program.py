"""The access proxy as a process of its own: `python -m mesh_bench.access_program PORT SECONDS`.

SECONDS is how long the hub's word about a caller is kept; 0 asks the hub at every request. The hub is the
kubeconfig's current context.
"""

import asyncio
import sys

import uvloop

from mesh_placement.access.access import AccessSettings, run_access
from mesh_runtime.kube import connect
from mesh_runtime.log import configure


async def _serve(port: int, kept_seconds: float) -> None:
    settings = AccessSettings(port=port, host="127.0.0.1", health_port=0, kept_seconds=kept_seconds)
    async with connect() as kube:
        await run_access(kube, settings=settings)


if __name__ == "__main__":
    configure(level="WARNING")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
