"""A hub without a health port, as a process: `python -m mesh_fakes.hub_program KUBECONFIG NAME`.

Several of them share one network namespace in tests, where only one could have that port.
"""

import asyncio
import sys
from pathlib import Path

import uvloop

from mesh_placement.hub.hub import Hub
from mesh_runtime.kube import connect
from mesh_runtime.log import configure


async def _serve(kubeconfig: Path, name: str) -> None:
    async with connect(kubeconfig=kubeconfig, context="there") as kube:
        await Hub(kube, name=name).run()


if __name__ == "__main__":
    configure(level="WARNING")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Path(sys.argv[1]), sys.argv[2]))
