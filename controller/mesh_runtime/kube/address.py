"""A client for an API server that no kubeconfig names: an address, whom to believe, and perhaps a token."""

import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from mesh_runtime.kube.client import KubeClient

_PYTHON_FORGETS_TLS = sys.version_info < (3, 12, 8)


def connector(tls: ssl.SSLContext) -> aiohttp.TCPConnector:
    """Connections to one API server, as many as are asked for."""
    # A watch that is cut off would wait for the server's goodbye, and its socket would be left behind.
    return aiohttp.TCPConnector(limit=0, ssl=tls, enable_cleanup_closed=_PYTHON_FORGETS_TLS)


@asynccontextmanager
async def connect_at(server: str, *, tls: ssl.SSLContext, token: str = "") -> AsyncIterator[KubeClient]:
    """A client for the API server at the URL `server`; without a token it comes as nobody.

    Does no request by itself; closes its connections at the end.
    """

    async def authorization() -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"} if token else {}

    async with aiohttp.ClientSession(connector=connector(tls)) as session:
        yield KubeClient(session, server=server.rstrip("/"), authorization=authorization)
