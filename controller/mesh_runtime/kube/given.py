"""A client for an API server that somebody told us of: its address, its CA, and what we show to it."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp

from mesh_runtime.kube.client import KubeClient
from mesh_runtime.kube.errors import KubeconfigError
from mesh_runtime.tls import Credentials, show

_READ_BUFFER_BYTES = 1 << 20


@asynccontextmanager
async def connect_to(
    server: str,
    *,
    ca: str,
    credentials: Credentials | None = None,
    token: Callable[[], str] | None = None,
) -> AsyncIterator[KubeClient]:
    """A client for `server` (https://...), which is believed below `ca` (PEM) alone; no request by itself.

    It shows the certificate of `credentials`, or `token()`, which is asked at each request, or nothing. It
    closes its connections at the end. Raises KubeconfigError for a CA that does not read, or
    UnusableCredentials.
    """
    connector = aiohttp.TCPConnector(limit=0, ssl=_context(server, ca=ca, credentials=credentials))

    async def authorization() -> dict[str, str]:
        return {"Authorization": f"Bearer {token()}"} if token is not None else {}

    async with aiohttp.ClientSession(connector=connector, read_bufsize=_READ_BUFFER_BYTES) as session:
        yield KubeClient(session, server=server, authorization=authorization)


def _context(server: str, *, ca: str, credentials: Credentials | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=ca)
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise KubeconfigError(
            f"the CA of {server} is no certificate in PEM", next_step="give the right one"
        ) from error
    if credentials is not None:
        show(context, credentials)
    return context
