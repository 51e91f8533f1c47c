"""Knocking and telling, until the gateway stops."""

import asyncio

from mesh_gateway.probe_report import Reporter
from mesh_gateway.prober import Prober


async def probe(prober: Prober, *, reporter: Reporter, stop: asyncio.Event) -> None:
    """Knock and tell until `stop` is set, then take back what was said."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(prober.run()), group.create_task(reporter.run())]
        await stop.wait()
        for task in tasks:
            task.cancel()
    await reporter.withdraw()
