"""A worker that is no gateway: it listens on a port that it shares, says who it is, and heeds SIGTERM or not.

`python -m mesh_fakes.worker_program PORT [stubborn|broken]`
"""

import asyncio
import os
import signal
import sys

from mesh_runtime.health import health_server
from mesh_runtime.lifeline import hold, place_of

LOOPBACK = "127.0.0.1"


async def main(port: int, *, manner: str) -> None:
    place = place_of()
    assert place is not None and manner != "broken"
    stop = asyncio.Event()

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(str(os.getpid()).encode())
        writer.close()

    async def metrics() -> bytes:
        return b"# HELP pid Who it is.\n# TYPE pid gauge\npid %d\n" % os.getpid()

    heed = stop.set if manner != "stubborn" else lambda: None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, heed)
    server = await asyncio.start_server(answer, LOOPBACK, port, reuse_port=True)
    async with server, health_server(0, ready=lambda: True, metrics=metrics, loopback=True) as health:
        holding = asyncio.create_task(hold(place, ready=lambda: True, port=health.port))
        await asyncio.wait(
            [holding, stopping := asyncio.create_task(stop.wait())], return_when="FIRST_COMPLETED"
        )
        for task in (holding, stopping):
            task.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), manner=sys.argv[2] if len(sys.argv) > 2 else ""))
