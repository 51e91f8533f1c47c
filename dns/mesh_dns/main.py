"""One DNS server: follow the API server, answer questions, say when it is ready, stop when told.

1. It answers before it has heard anything: what was kept on disk, else SERVFAIL until the names are complete,
   so that an asker tries again instead of believing that nothing exists. One of several workers listens only
   when they are, as who listens gets its share of the questions.
2. After SIGTERM it is not ready any more but answers for `Settings.linger` seconds, while the nodes still
   send questions here; a second signal ends it at once, but for a worker, whom its parent tells too.
3. What is on disk is written by one process: the only one, or worker 0.
"""

import asyncio
import os
import socket
import time
from contextlib import suppress
from typing import Never

from mesh_dns import udp
from mesh_dns.chaos import Facts, State
from mesh_dns.cookie import SEED_BYTES, Cookies
from mesh_dns.counts import Counts
from mesh_dns.guard import Guard
from mesh_dns.last_names import LastNames
from mesh_dns.metrics_page import Readings, metrics_page
from mesh_dns.names import Names
from mesh_dns.server import DnsServer, dns_server
from mesh_dns.settings import Settings
from mesh_dns.source_watch import SourceWatch
from mesh_dns.sources import Sources
from mesh_dns.table import Table
from mesh_runtime.clock import utc_now
from mesh_runtime.health import health_server
from mesh_runtime.kube import KubeClient, connect
from mesh_runtime.lifeline import Place, hold
from mesh_runtime.log import logger
from mesh_runtime.metrics_text import our_version
from mesh_runtime.signals import stop_at_signal

_LOOK = 0.05
_log = logger(__name__)


async def serve(settings: Settings, *, place: Place | None = None) -> None:
    """Serve until SIGTERM or SIGINT; `place` is that of one worker of several.

    Raises a group of PortTaken, or of ParentGone.
    """
    stopping = stop_at_signal(second_ends=place is None)
    async with connect() as client, asyncio.TaskGroup() as tasks:
        parts = _Parts(client, settings=settings, place=place, stopping=stopping)
        async with health_server(
            settings.health_port if place is None else 0,
            ready=parts.is_ready,
            metrics=parts.page,
            loopback=place is not None,
        ) as health:
            running: list[asyncio.Task[Never]] = []
            if place is not None:
                running.append(tasks.create_task(hold(place, ready=parts.is_ready, port=health.port)))
            await parts.restore()
            running += [tasks.create_task(parts.names.run()), tasks.create_task(parts.askers.run())]
            if parts.keeps:
                running.append(tasks.create_task(parts.keeps.run()))
            if place is not None:
                await parts.came()
            if not stopping.is_set():
                await parts.answer(settings, shared=place is not None)
        for task in running:
            task.cancel()


class _Parts:
    """What one process has, and what it says of itself.

    `keeps` writes the names to disk, None when nobody does so here.
    """

    def __init__(
        self, client: KubeClient, *, settings: Settings, place: Place | None, stopping: asyncio.Event
    ) -> None:
        self._stopping = stopping
        self._counts = Counts()
        self._server: DnsServer | None = None
        self._table = Table(ttl=settings.ttl)
        self._last: LastNames | None = None
        if settings.snapshot:
            self._last = LastNames(
                self._table,
                folder=settings.snapshot,
                clock=utc_now,
                heard_ago=lambda: self.names.heard_ago(),  # made below, and told of changes to keep
                reader=str(place.number if place is not None else 0),
            )
        self.keeps = self._last if place is None or place.number == 0 else None
        self.names = Names(
            client,
            table=self._table,
            changed=self.keeps.changed if self.keeps is not None else _nobody,
            nearest=settings.nearest,
        )
        sources = Sources(settings.local_networks)
        self.askers = SourceWatch(client, sources=sources)
        self._guard = Guard(
            sources,
            cookies=Cookies(place.seed if place is not None else os.urandom(SEED_BYTES)),
            facts=self._facts,
            epoch=time.time() - asyncio.get_running_loop().time(),
        )

    def is_ready(self) -> bool:
        """Whether questions may be sent here."""
        return self._server is not None and self._table.complete and not self._stopping.is_set()

    async def restore(self) -> None:
        """Begins with what was kept on disk; before anything of the API server is put into the table."""
        if self._last is not None:
            await self._last.restore()

    async def came(self) -> None:
        """Returns when the names are complete, or at the end; the table tells nobody, so it is looked at."""
        while not self._table.complete and not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await self._stopping.wait()

    async def answer(self, settings: Settings, *, shared: bool) -> None:
        """Answers until the end, and `linger` seconds on. Raises PortTaken."""
        async with dns_server(
            settings.listen_port, table=self._table, counts=self._counts, guard=self._guard, reuse_port=shared
        ) as self._server:
            _log.info("answering", port=self._server.port, compiled=not udp.__file__.endswith(".py"))
            await self._stopping.wait()
            _log.info("stopping", seconds=settings.linger)
            await asyncio.sleep(settings.linger)

    async def page(self) -> bytes:
        """The metrics."""
        readings = Readings(
            ready=self.is_ready(),
            complete=self._table.complete,
            from_snapshot=self._table.snapshot_of is not None,
            services=len(self._table.entries),
            connections=len(self._server.connections) if self._server is not None else 0,
            age=self.names.heard_ago(),
            unkept=self.keeps is not None and self.keeps.has_failed,
        )
        return await asyncio.to_thread(metrics_page, self._counts, readings=readings)

    def _facts(self) -> Facts:
        state = State.COMPLETE if self._table.complete else State.INCOMPLETE
        return Facts(
            server=socket.gethostname(),
            version=f"clusterset-mesh {our_version()}",
            heard_ago=self.names.heard_ago(),
            names=len(self._table.entries),
            state=State.SNAPSHOT if self._table.snapshot_of is not None else state,
        )


def _nobody() -> None:
    """Nobody is told."""
