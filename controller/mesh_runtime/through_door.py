"""A connection to a reserved target of another cluster, by the inner door of our own gateways.

The door (ruling 18, docs/wire.md) shows itself as the gateway of this very cluster and then hands on bytes: a
second handshake goes through it to whatever is reached, end to end. So there is TLS in TLS, and neither
gateway can read or forge what is said.

1. Nothing is sent beyond the door before it has proved to be a gateway of our own cluster.
2. Whether the far end is who was meant, the inner handshake's own context says, or whoever asked looks.
3. No byte is lost and none comes early: the protocol hears of its connection first, as from
   `loop.create_connection`, which `loop.start_tls` does not do.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from mesh_core.identity import Component, Expected
from mesh_core.names import ALPN_INNER, reserved_server_name
from mesh_core.objects import PeerGateway
from mesh_core.peer_wire import PeerProtocolError
from mesh_runtime.leaf import Standing
from mesh_runtime.tls import PeerRefused, client_context, verify_peer

LIMIT: Final = 5.0
"""Seconds for all handshakes on the way."""
_SHUTDOWN_LIMIT: Final = 1.0

P = TypeVar("P", bound=asyncio.Protocol)


@dataclass(frozen=True, slots=True)
class Beyond:
    """What is asked for behind the door, and how it is spoken to: `tls` is for the handshake with it, in
    which `server_name` is asked for."""

    reserved: str
    cluster: str
    tls: ssl.SSLContext
    server_name: str


async def connect_through_door(
    factory: Callable[[], P], *, door: PeerGateway, standing: Standing, beyond: Beyond
) -> tuple[asyncio.Transport, P]:
    """A transport and a protocol, connected, as `loop.create_connection` gives them.

    Raises TimeoutError, OSError (ssl.SSLError among them; ConnectionError or ssl.SSLEOFError where the door
    closed, as it does without a tunnel and when the far end refuses), UnicodeError, UnusableCredentials, and
    PeerRefused or PeerProtocolError when something else than a gateway of this cluster answers at the door.
    """
    async with asyncio.timeout(LIMIT):
        carrier = await _at_door(door, standing=standing, beyond=beyond)
        try:
            _verify_door(carrier, standing=standing)
            return await _end_to_end(carrier, factory(), beyond=beyond)
        except BaseException:
            carrier.abort()
            raise


async def _at_door(door: PeerGateway, *, standing: Standing, beyond: Beyond) -> asyncio.Transport:
    name = reserved_server_name(beyond.reserved, cluster=beyond.cluster, domain=standing.identity.domain)
    try:
        carrier, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol,
            door.host,
            door.port,
            ssl=client_context(standing.credentials, roots=standing.inner_roots, alpn=(ALPN_INNER,)),
            server_hostname=name,
            ssl_handshake_timeout=LIMIT,
            ssl_shutdown_timeout=_SHUTDOWN_LIMIT,
        )
    except ssl.SSLCertVerificationError as error:
        # Not to be taken for what the far end shows.
        raise PeerRefused(f"our own gateway's door is not believed: {error.verify_message}") from error
    return carrier


def _verify_door(carrier: asyncio.BaseTransport, *, standing: Standing) -> None:
    """Raises PeerRefused or PeerProtocolError unless a gateway of our own cluster answers."""
    tls = carrier.get_extra_info("ssl_object")
    assert isinstance(tls, ssl.SSLObject)
    gateway = replace(standing.identity, component=Component.GATEWAY)
    verify_peer(tls, expected=Expected.exactly(gateway), trust=standing.trust)
    if tls.selected_alpn_protocol() != ALPN_INNER:
        raise PeerProtocolError(f"our own gateway does not speak {ALPN_INNER}")


async def _end_to_end(
    carrier: asyncio.Transport, protocol: P, *, beyond: Beyond
) -> tuple[asyncio.Transport, P]:
    early = _Early()
    try:
        transport = await asyncio.get_running_loop().start_tls(
            carrier,
            early,
            beyond.tls,
            server_hostname=beyond.server_name,
            ssl_handshake_timeout=LIMIT,
            ssl_shutdown_timeout=_SHUTDOWN_LIMIT,
        )
    except TypeError as error:
        # asyncio of Python 3.11, told that TLS has failed, fails to close TLS below TLS; uvloop does not.
        if isinstance(error.__context__, ssl.SSLError):
            raise error.__context__ from None
        raise
    # uvloop returns as if all were well when the connection is lost in the handshake (0.23).
    if transport is None or transport.get_extra_info("ssl_object") is None or early.is_lost:
        raise ConnectionResetError("the inner door closed before the far end answered")
    early.hand_over(transport, protocol)
    return transport, protocol


class _Early(asyncio.Protocol):
    """Keeps what comes right behind the handshake, before the protocol that it is for was told of it."""

    def __init__(self) -> None:
        self._came = bytearray()
        self._ended = False
        self.is_lost = False

    def data_received(self, data: bytes) -> None:
        self._came += data

    def eof_received(self) -> None:
        self._ended = True

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_lost = True

    def hand_over(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._came:
            protocol.data_received(bytes(self._came))
        if self._ended:
            protocol.eof_received()
