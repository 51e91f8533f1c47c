"""The health port of a pod: `/healthz`, `/readyz` and `/metrics`, answered by the loop that does the work.

1. `/healthz` answers 200 while the event loop turns: one that hangs fails the kubelet's probe.
2. `/readyz` answers 200 when `ready()` says so, else 503; it asks each time and keeps nothing.
3. `/metrics` is there where a program has any. Whoever reaches the pod may ask, so a page is made at most
   once a second, however many ask.
4. Nothing else is served, and nothing that is secret can be read here.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from mesh_runtime.binding import binding

# Seconds that a half-open probe connection may keep a stopping process waiting.
_LINGER = 1.0
# Seconds for which a page of metrics is given to others who ask.
_FRESH = 1.0
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Metrics = Callable[[], Awaitable[bytes]]
"""Makes a page in Prometheus's text format. What takes long in it belongs into a thread."""


@dataclass(frozen=True, slots=True)
class HealthServer:
    """A health server that listens on `port`: the one asked for, or the kernel's choice for 0."""

    port: int


@asynccontextmanager
async def health_server(
    port: int, *, ready: Callable[[], bool], metrics: Metrics | None = None, loopback: bool = False
) -> AsyncIterator[HealthServer]:
    """Serves `/healthz`, `/readyz` and, with `metrics`, `/metrics` on `port` of all addresses.

    It does so while the block runs, on 127.0.0.1 alone with `loopback`. `ready` is called at every `/readyz`
    and must neither wait nor raise. Raises PortTaken.
    """
    application = _application(ready)
    if metrics is not None:
        application.router.add_get("/metrics", _MetricsPage(metrics).answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_LINGER)
    await runner.setup()
    try:
        listener = _listener(port, loopback=loopback)
        await web.SockSite(runner, listener).start()
        yield HealthServer(port=listener.getsockname()[1])
    finally:
        await runner.cleanup()


def _listener(port: int, *, loopback: bool) -> socket.socket:
    """One socket for both families, so that port 0 means one port; IPv4 alone where that fails."""
    with binding(port):
        if loopback:
            return socket.create_server(("127.0.0.1", port))
        if socket.has_dualstack_ipv6():
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("0.0.0.0", port))


def _application(ready: Callable[[], bool]) -> web.Application:
    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        if ready():
            return web.Response(text="ready\n")
        return web.Response(status=503, text="not ready\n")

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    return application


class _MetricsPage:
    """The last page, for as long as it is fresh; one is made at a time."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._making = asyncio.Lock()
        self._page = b""
        self._until = 0.0

    async def answer(self, _request: web.Request) -> web.Response:
        """The page."""
        clock = asyncio.get_running_loop().time
        async with self._making:
            if clock() >= self._until:
                self._page = await self._metrics()
                self._until = clock() + _FRESH
        return web.Response(body=self._page, headers={"Content-Type": _METRICS_TYPE})
