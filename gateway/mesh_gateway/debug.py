"""`/debug/routes`, on the loopback of the pod only: for `kubectl exec` and `kubectl port-forward`.

1. It listens on 127.0.0.1 and nowhere else: what it tells is for those who may enter the pod. Others had
   debug pages on all addresses, and advisories for it.
2. A request that names another host is refused, so that no page in the browser of somebody who forwards the
   port can read it under a name of its own (DNS rebinding).
3. It only shows, and nothing that is secret.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from mesh_gateway.debug_page import TunnelSeen, debug_page
from mesh_gateway.route import RouteTable
from mesh_runtime.binding import binding

LOOPBACK = "127.0.0.1"

_HOSTS = frozenset({"localhost", LOOPBACK, "[::1]"})
# Seconds that a half-open connection may keep a stopping process waiting.
_LINGER = 1.0


@dataclass(frozen=True, slots=True)
class DebugServer:
    """A debug server that listens on `port`: the one asked for, or the kernel's choice for 0."""

    port: int


@asynccontextmanager
async def debug_server(
    port: int,
    *,
    table: Callable[[], RouteTable | None],
    tunnels: Callable[[], Sequence[TunnelSeen]],
) -> AsyncIterator[DebugServer]:
    """Serves `/debug/routes` while the block runs; `table` and `tunnels` are those of the moment.

    Both are called at every request, and must neither wait nor raise. Raises PortTaken.
    """
    # One page at a time, and made in a thread, where a large table keeps nobody waiting.
    making = asyncio.Lock()

    async def routes(request: web.Request) -> web.Response:
        if request.host.rpartition(":")[0] not in _HOSTS and request.host not in _HOSTS:
            raise web.HTTPForbidden(text="only for localhost\n")
        async with making:
            page = await asyncio.to_thread(debug_page, table(), tunnels=tunnels())
        return web.Response(body=page, content_type="application/json")

    application = web.Application()
    application.router.add_get("/debug/routes", routes)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_LINGER)
    await runner.setup()
    try:
        with binding(port):
            await web.TCPSite(runner, LOOPBACK, port).start()
        yield DebugServer(port=runner.addresses[0][1])
    finally:
        await runner.cleanup()
