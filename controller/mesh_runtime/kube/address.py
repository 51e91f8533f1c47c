"""A client for an API server that no kubeconfig names: an address, whom to believe, and perhaps a token."""

import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mesh_runtime.kube.bounds import Bounds
from mesh_runtime.kube.client import KubeClient

if TYPE_CHECKING:
    import aiohttp
else:
    from mesh_runtime.kube import late_aiohttp as aiohttp

READ_BUFFER_BYTES = 1 << 20
"""A list page of 500 objects stays below this; longer watch lines are joined from several reads."""
_PYTHON_FORGETS_TLS = sys.version_info < (3, 12, 8)


def connector(tls: ssl.SSLContext) -> "aiohttp.TCPConnector":
    """Connections to one API server, as many as are asked for."""
    # A watch that is cut off would wait for the server's goodbye, and its socket would be left behind.
    return aiohttp.TCPConnector(limit=0, ssl=tls, enable_cleanup_closed=_PYTHON_FORGETS_TLS)


def session(connections: "aiohttp.BaseConnector", *, bounds: Bounds | None = None) -> "aiohttp.ClientSession":
    """For a client with these bounds; with some, nothing is unpacked: a kilobyte may become a gigabyte."""
    return aiohttp.ClientSession(
        connector=connections,
        read_bufsize=READ_BUFFER_BYTES,
        auto_decompress=bounds is None,
        headers={"Accept-Encoding": "identity"} if bounds is not None else None,
    )


@asynccontextmanager
async def connect_at(
    server: str,
    *,
    tls: ssl.SSLContext,
    token: Callable[[], str] | None = None,
    bounds: Bounds | None = None,
) -> AsyncIterator[KubeClient]:
    """A client for the API server at the URL `server`; `token()` is asked at each request.

    Does no request by itself; closes its connections at the end.
    """

    async def authorization() -> dict[str, str]:
        return {"Authorization": f"Bearer {token()}"} if token is not None else {}

    async with session(connector(tls), bounds=bounds) as talk:
        yield KubeClient(talk, server=server.rstrip("/"), authorization=authorization, bounds=bounds)
