"""Reaching a peer's gateway: TCP, then TLS, then the certainty that it is the very cluster that was meant."""

import asyncio
import errno
import ssl
from collections.abc import Callable

from mesh_core.identity import ClusterId, Component, Domain, Expected
from mesh_core.names import ALPN_TUNNEL
from mesh_core.trust import Trust
from mesh_gateway.contexts import Contexts
from mesh_gateway.limits import Limits
from mesh_gateway.route import Address
from mesh_gateway.tcp_stream import keep_alive
from mesh_gateway.tls_stream import TlsStream
from mesh_runtime.tls import Believed, PeerRefused, verify_peer


class NoHostName(OSError):
    """An address that no resolver can be asked for, as with a label of 64 characters."""


async def reach_gateway(
    gateway: Address, *, cluster: ClusterId, contexts: Contexts, limits: Limits
) -> tuple[TlsStream, Believed]:
    """A TLS stream, not started, on which a tunnel with that cluster may begin; raises as `reach`."""
    return await reach(
        gateway,
        cluster=cluster,
        domain=contexts.domain,
        trust=contexts.trust,
        context=contexts.tunnel_client,
        server_name=f"gateway.{cluster}.{contexts.domain_of(cluster)}",
        alpn=ALPN_TUNNEL,
        limits=limits,
    )


async def reach(
    gateway: Address,
    *,
    cluster: ClusterId,
    domain: Domain,
    trust: Trust,
    context: ssl.SSLContext,
    server_name: str,
    alpn: str,
    limits: Limits,
    broken: Callable[[str], None] | None = None,
) -> tuple[TlsStream, Believed]:
    """A TLS stream, not started, whose other end is a gateway of `cluster` and speaks `alpn`; and by what.

    Raises HandshakeFailed, PeerRefused, TimeoutError and OSError, of which NoHostName is one; no byte of a
    client was sent then.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(limits.connect):
            transport, stream = await loop.create_connection(
                lambda: TlsStream(context, server_name=server_name, broken=broken), gateway.host, gateway.port
            )
    except UnicodeError as error:
        # What the codec for host names raises is no OSError.
        raise NoHostName(errno.EINVAL, "this is no host name") from error
    keep_alive(transport)
    try:
        async with asyncio.timeout(limits.handshake):
            await stream.handshake()
        believed = verify_peer(
            stream.tls_object,
            expected=Expected(
                domain=domain, components=frozenset({Component.GATEWAY}), clusters=frozenset({cluster})
            ),
            trust=trust,
        )
        if stream.tls_object.selected_alpn_protocol() != alpn:
            raise PeerRefused(f"the other end does not speak {alpn}")
    except BaseException:
        stream.abort()
        raise
    return stream, believed
