"""A client for an API server that no kubeconfig names: an address, whom to believe, and perhaps a token."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from mesh_runtime.kube.client import KubeClient


@asynccontextmanager
async def connect_at(server: str, *, tls: ssl.SSLContext, token: str = "") -> AsyncIterator[KubeClient]:
    """A client for the API server at the URL `server`; without a token it comes as nobody.

    Does no request by itself; closes its connections at the end.
    """

    async def authorization() -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"} if token else {}

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=tls)) as session:
        yield KubeClient(session, server=server.rstrip("/"), authorization=authorization)
