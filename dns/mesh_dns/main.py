"""The DNS pod: follow the API server, answer questions, say when it is ready, stop when told.

1. It answers from the first moment: SERVFAIL until the names are complete, so that an asker tries again
   instead of believing that nothing exists.
2. After SIGTERM it is not ready any more but answers for `LINGER` seconds, while the nodes' rules still
   send questions here; a second signal ends it at once.
3. What keeps it from starting is one line in the log and exit status 1.
"""

import asyncio
import os
import sys

import uvloop

from mesh_core.errors import MeshError
from mesh_core.names import DNS_PORT, HEALTH_PORT
from mesh_dns.counts import Counts
from mesh_dns.last_names import LastNames
from mesh_dns.names import Names
from mesh_dns.server import dns_server
from mesh_dns.settings import Settings, settings_of
from mesh_dns.table import Table
from mesh_runtime.clock import utc_now
from mesh_runtime.health import health_server
from mesh_runtime.kube import connect
from mesh_runtime.log import configure, logger
from mesh_runtime.signals import stop_at_signal

LINGER = 2.0
"""Seconds; kube-proxy takes a slice's change into the node's rules in about one."""

_log = logger(__name__)

_DEFAULT = Settings()


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure()
    try:
        uvloop.run(serve(settings_of(os.environ)))
    except MeshError as error:
        _log.error("cannot serve", why=str(error))
        sys.exit(1)


async def serve(
    settings: Settings = _DEFAULT, *, dns_port: int = DNS_PORT, health_port: int = HEALTH_PORT
) -> None:
    """Serve until SIGTERM or SIGINT; raises PortTaken."""
    stopping = stop_at_signal(second_ends=True)
    table = Table(ttl=settings.ttl)
    last = LastNames(table, folder=settings.snapshot, clock=utc_now) if settings.snapshot else None
    if last is not None:
        last.restore()

    def ready() -> bool:
        return table.complete and not stopping.is_set()

    async with (
        connect() as client,
        dns_server(dns_port, table=table, counts=Counts()) as server,
        health_server(health_port, ready=ready),
        asyncio.TaskGroup() as tasks,
    ):
        _log.info("answering", port=server.port)
        names = Names(client, table=table, changed=last.changed if last is not None else _nobody)
        running = [tasks.create_task(names.run())]
        if last is not None:
            running.append(tasks.create_task(last.run()))
        await stopping.wait()
        _log.info("stopping", seconds=LINGER)
        await asyncio.sleep(LINGER)
        for task in running:
            task.cancel()


def _nobody() -> None:
    """Nobody is told."""
