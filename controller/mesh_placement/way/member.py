"""A client for a member's API server from the hub, by whichever way there is (Push).

It is `placement-hub-access` in the member, which may only impersonate. Route and token are taken anew for
each connection and request, so that a renewed token or a changed CA needs nobody's doing. What the member
answers is taken within `Bounds`: the hub has others to serve.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import BaseConnector

from mesh_core.errors import MeshError
from mesh_placement.decide.route import NoRoute, Route
from mesh_placement.way.dial import API_SERVER_NAME, Tunnel, dial
from mesh_placement.way.routes import Routes
from mesh_runtime.kube import Bounds, KubeClient, Unreachable, session


@asynccontextmanager
async def member_client(cluster: str, *, routes: Routes, tunnel: Tunnel | None) -> AsyncIterator[KubeClient]:
    """A client for `cluster`; a request while there is no way to it raises Unreachable."""

    def route() -> Route:
        found = routes.to(cluster)
        if isinstance(found, NoRoute):
            raise Unreachable(server=cluster, why=found.message)
        return found

    async def authorization() -> dict[str, str]:
        return {"Authorization": f"Bearer {route().token}"}

    bounds = Bounds()
    async with session(_ByRoute(route, tunnel=tunnel), bounds=bounds) as talk:
        now = routes.to(cluster)
        prefix = now.prefix if isinstance(now, Route) else ""
        # The connection has TLS already; to aiohttp it is a plain one.
        server = f"http://{API_SERVER_NAME}{prefix}"
        yield KubeClient(talk, server=server, authorization=authorization, bounds=bounds)


class _ByRoute(BaseConnector):
    """Connections of an aiohttp session that go where the route leads."""

    def __init__(self, route: Callable[[], Route], *, tunnel: Tunnel | None) -> None:
        super().__init__(limit=0)
        self._route = route
        self._tunnel = tunnel

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: "list[aiohttp.tracing.Trace]",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # the name that aiohttp has for it
    ) -> ResponseHandler:
        loop = asyncio.get_running_loop()
        try:
            _, handler = await dial(self._route(), lambda: ResponseHandler(loop), tunnel=self._tunnel)
        except MeshError as error:
            raise aiohttp.ClientConnectionError(error.what) from error
        return handler
