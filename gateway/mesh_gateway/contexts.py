"""The TLS contexts of a gateway, one for each use (ruling 3), made anew whenever its standing changes.

A change is for new connections only; established ones keep what they were made with.
"""

import ssl
from dataclasses import dataclass
from typing import Protocol

from mesh_core.errors import MeshError
from mesh_core.identity import Domain
from mesh_core.names import ALPN_INNER, ALPN_STREAM, ALPN_TUNNEL
from mesh_core.trust import Trust
from mesh_runtime.leaf import Standing
from mesh_runtime.log import logger
from mesh_runtime.tls import client_context, server_context

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Contexts:
    """`server` for peers that come to us, `client` for those we go to; the same for tunnels.
    `inner` is for programs of our own cluster, which is in `pool`. `roots` are those by which others are
    believed, by the rules of `trust`. `settled` is the newest generation of the trust bundle that all of this
    goes by."""

    domain: Domain
    pool: str
    roots: frozenset[str]
    trust: Trust
    settled: int
    server: ssl.SSLContext
    client: ssl.SSLContext
    tunnel_server: ssl.SSLContext
    tunnel_client: ssl.SSLContext
    inner: ssl.SSLContext

    def domain_of(self, cluster: str) -> Domain:
        """The domain of that cluster's identities."""
        return self.trust.domain_of(cluster, ours=self.domain)


class StandingReader(Protocol):
    """Where the standing is read (`mesh_runtime.leaf.LeafSource`)."""

    @property
    def current(self) -> Standing | None:
        """What may be shown now."""


class ContextKeeper:
    """Keeps the contexts of the newest standing."""

    def __init__(self, leaf: StandingReader) -> None:
        self._leaf = leaf
        self._standing: Standing | None = None
        self._contexts: Contexts | None = None

    @property
    def current(self) -> Contexts | None:
        """The contexts for a new connection; None while we have nothing to show."""
        standing = self._leaf.current
        if standing is not self._standing:
            self._contexts = _contexts(standing)
            # Not before: without a file left for the key it is to be tried again.
            self._standing = standing
        return self._contexts


def _contexts(standing: Standing | None) -> Contexts | None:
    if standing is None:
        return None
    try:
        return Contexts(
            domain=standing.identity.domain,
            pool=standing.identity.pool,
            roots=frozenset(standing.roots),
            trust=standing.trust,
            settled=standing.settled,
            server=server_context(standing.credentials, roots=standing.roots, alpn=[ALPN_STREAM]),
            client=client_context(standing.credentials, roots=standing.roots, alpn=[ALPN_STREAM]),
            tunnel_server=server_context(standing.credentials, roots=standing.roots, alpn=[ALPN_TUNNEL]),
            tunnel_client=client_context(standing.credentials, roots=standing.roots, alpn=[ALPN_TUNNEL]),
            inner=server_context(standing.credentials, roots=standing.inner_roots, alpn=[ALPN_INNER]),
        )
    except MeshError as error:
        _log.error("no TLS with this certificate", why=str(error))
        return None
