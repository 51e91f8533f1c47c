"""The health port of a pod: `/healthz` and `/readyz`, answered by the loop that does the work.

1. `/healthz` answers 200 while the event loop turns: one that hangs fails the kubelet's probe.
2. `/readyz` answers 200 when `ready()` says so, else 503; it asks each time and keeps nothing.
3. Nothing else is served, and nothing that is secret can be read here.
"""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from mesh_runtime.binding import binding

# Seconds that a half-open probe connection may keep a stopping process waiting.
_LINGER = 1.0


@dataclass(frozen=True, slots=True)
class HealthServer:
    """A health server that listens on `port`: the one asked for, or the kernel's choice for 0."""

    port: int


@asynccontextmanager
async def health_server(port: int, *, ready: Callable[[], bool]) -> AsyncIterator[HealthServer]:
    """Serves `/healthz` and `/readyz` on `port` of all addresses while the block runs.

    `ready` is called at every `/readyz` and must neither wait nor raise. Raises PortTaken.
    """
    runner = web.AppRunner(_application(ready), access_log=None, shutdown_timeout=_LINGER)
    await runner.setup()
    try:
        listener = _listener(port)
        await web.SockSite(runner, listener).start()
        yield HealthServer(port=listener.getsockname()[1])
    finally:
        await runner.cleanup()


def _listener(port: int) -> socket.socket:
    """One socket for both families, so that port 0 means one port; IPv4 alone where that fails."""
    with binding(port):
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
