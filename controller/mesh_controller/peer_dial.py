"""Dialling a peer's controller: at the peer's gateways, or by a tunnel that the peer dialled.

The second way is for a peer that this cluster never dials. It leads through the inner door of our own
gateways (`mesh_runtime.through_door`) to the peer's controller, end to end as ever.
"""

import asyncio
import ssl
from typing import Final

from mesh_controller.peer_stream import PeerStream
from mesh_core.names import ALPN_PEER, RESERVED_PEER, reserved_server_name
from mesh_core.objects import PeerGateway
from mesh_runtime.leaf import Standing
from mesh_runtime.through_door import LIMIT, Beyond, connect_through_door
from mesh_runtime.tls import client_context

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
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_READ_LIMIT, loop=loop)
    name = _name(cluster, standing=standing)
    beyond = Beyond(RESERVED_PEER, cluster, tls=_end_to_end(standing), server_name=name)
    transport, protocol = await connect_through_door(
        lambda: asyncio.StreamReaderProtocol(reader, loop=loop), door=door, standing=standing, beyond=beyond
    )
    return PeerStream(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


def _end_to_end(standing: Standing) -> ssl.SSLContext:
    return client_context(standing.credentials, roots=standing.roots, alpn=(ALPN_PEER,))


def _name(cluster: str, *, standing: Standing) -> str:
    domain = standing.trust.domain_of(cluster, ours=standing.identity.domain)
    return reserved_server_name(RESERVED_PEER, cluster=cluster, domain=domain)
