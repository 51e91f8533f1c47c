"""Dialling a peer's controller: at the peer's gateways, or by a tunnel that the peer dialled.

The second way is for a peer that this cluster never dials. It leads to the inner door of our own gateways
(ruling 18, docs/wire.md), which shows itself as the gateway of this very cluster and then hands on bytes: a
second handshake goes through it to the peer's controller, end to end as ever. So there is TLS in TLS, and
neither gateway can read or forge what is said.
"""

import asyncio
import ssl
from dataclasses import replace
from typing import Final

from mesh_controller.peer_stream import PeerStream
from mesh_core.identity import Component, Expected
from mesh_core.names import ALPN_INNER, ALPN_PEER
from mesh_core.objects import PeerGateway
from mesh_core.peer_wire import PeerProtocolError
from mesh_runtime.leaf import Standing
from mesh_runtime.tls import client_context, verify_peer

LIMIT: Final = 5.0
"""Seconds for all handshakes on the way."""
_SHUTDOWN_LIMIT: Final = 1.0
_READ_LIMIT: Final = 1 << 16


async def dial_gateway(gateway: PeerGateway, *, cluster: str, standing: Standing) -> PeerStream:
    """A stream to whoever answers for the controller of `cluster` there; who it is was not looked at.

    Raises TimeoutError, OSError (ssl.SSLError among them), UnicodeError and UnusableCredentials.
    """
    async with asyncio.timeout(LIMIT):
        reader, writer = await asyncio.open_connection(
            gateway.host,
            gateway.port,
            ssl=_end_to_end(standing),
            server_hostname=_name(cluster, standing=standing),
            ssl_handshake_timeout=LIMIT,
            ssl_shutdown_timeout=_SHUTDOWN_LIMIT,
        )
    return PeerStream(reader, writer)


async def dial_through_tunnel(door: PeerGateway, *, cluster: str, standing: Standing) -> PeerStream:
    """The same by a tunnel that `cluster` dialled; `door` is the inner door of our own gateways.

    Raises what `dial_gateway` raises, and PeerRefused or PeerProtocolError when something else than a
    gateway of this cluster answers at the door.
    """
    outer = client_context(standing.credentials, roots=standing.inner_roots, alpn=(ALPN_INNER,))
    loop, name = asyncio.get_running_loop(), _name(cluster, standing=standing)
    async with asyncio.timeout(LIMIT):
        carrier, _ = await loop.create_connection(
            asyncio.Protocol,
            door.host,
            door.port,
            ssl=outer,
            server_hostname=name,
            ssl_handshake_timeout=LIMIT,
            ssl_shutdown_timeout=_SHUTDOWN_LIMIT,
        )
        try:
            _verify_door(carrier, standing=standing)
            reader = asyncio.StreamReader(limit=_READ_LIMIT, loop=loop)
            protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
            transport = await loop.start_tls(
                carrier,
                protocol,
                _end_to_end(standing),
                server_hostname=name,
                ssl_handshake_timeout=LIMIT,
                ssl_shutdown_timeout=_SHUTDOWN_LIMIT,
            )
            # uvloop returns as if all were well when the connection is lost in the handshake (0.23).
            if transport is None or transport.get_extra_info("ssl_object") is None:
                raise ConnectionResetError("the inner door closed before the peer answered")
        except BaseException:
            carrier.abort()
            raise
    # `start_tls` does not tell the protocol: it takes it for one that was connected before.
    protocol.connection_made(transport)
    return PeerStream(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


def _end_to_end(standing: Standing) -> ssl.SSLContext:
    return client_context(standing.credentials, roots=standing.roots, alpn=(ALPN_PEER,))


def _name(cluster: str, *, standing: Standing) -> str:
    return f"peer.{cluster}.{standing.trust.domain_of(cluster, ours=standing.identity.domain)}"


def _verify_door(carrier: asyncio.BaseTransport, *, standing: Standing) -> None:
    """Raises PeerRefused or PeerProtocolError unless a gateway of our own cluster answers."""
    tls = carrier.get_extra_info("ssl_object")
    assert isinstance(tls, ssl.SSLObject)
    ours = standing.identity
    gateway = replace(ours, component=Component.GATEWAY)
    verify_peer(tls, expected=Expected.exactly(gateway), trust=standing.trust)
    if tls.selected_alpn_protocol() != ALPN_INNER:
        raise PeerProtocolError(f"our own gateway does not speak {ALPN_INNER}")
