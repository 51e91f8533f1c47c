"""A client for an API server that somebody told us of: its address, its CA, and what we show to it."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mesh_runtime.kube.address import connect_at
from mesh_runtime.kube.bounds import Bounds
from mesh_runtime.kube.client import KubeClient
from mesh_runtime.kube.errors import KubeconfigError

if TYPE_CHECKING:
    from mesh_runtime.tls import Credentials


@asynccontextmanager
async def connect_to(
    server: str,
    *,
    ca: str,
    credentials: "Credentials | None" = None,
    token: Callable[[], str] | None = None,
    bounds: Bounds | None = None,
) -> AsyncIterator[KubeClient]:
    """A client for `server` (https://...), which is believed below `ca` (PEM) alone; no request by itself.

    It shows the certificate of `credentials`, or `token()`, which is asked at each request, or nothing. It
    closes its connections at the end. `bounds` are for one that is not to be believed.

    Raises KubeconfigError for a CA that does not read, or UnusableCredentials.
    """
    tls = _context(server, ca=ca, credentials=credentials)
    async with connect_at(server, tls=tls, token=token, bounds=bounds) as client:
        yield client


def _context(server: str, *, ca: str, credentials: "Credentials | None") -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=ca)
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise KubeconfigError(
            f"the CA of {server} is no certificate in PEM", next_step="give the right one"
        ) from error
    if credentials is not None:
        from mesh_runtime.tls import show

        show(context, credentials)
    return context
