"""Dialling a member's API server: directly, or through the tunnel that the member has dialled.

Either way there is TLS from here to the API server, verified by the member's own CA (`ca.crt`), before a byte
of ours, and so before the token, goes there. The certificate has to name the host that was dialled, or
`kubernetes.default.svc`, which every API server's does, whatever address leads to it.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Protocol, TypeVar

from mesh_core.errors import EnvironmentFault, MeshError
from mesh_placement.decide.route import Route

P = TypeVar("P", bound=asyncio.Protocol)

API_SERVER_NAME: Final = "kubernetes.default.svc"
LIMIT: Final = 5.0
"""Seconds for connecting and all handshakes."""
_SHUTDOWN_LIMIT: Final = 1.0
# Seconds of silence after which the kernel asks whether the other end is there, and how often it asks.
_ALIVE: Final = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


class WayClosed(EnvironmentFault):
    """A member's API server cannot be reached, or is not who it should be."""

    def __init__(self, route: Route, *, why: str) -> None:
        place = f"at {route.host}:{route.port}" if route.host else "by its tunnel"
        super().__init__(
            f"the API server of {route.cluster} cannot be reached {place} ({why})",
            next_step=f"look at the ClusterRegistration {route.cluster} and into its agent's log",
        )


class Tunnel(Protocol):
    """Leads to members that dial out only."""

    async def __call__(
        self, factory: Callable[[], P], *, cluster: str, inner: ssl.SSLContext, server_name: str
    ) -> tuple[asyncio.Transport, P]:
        """A TLS connection to the API server of `cluster`, as loop.create_connection gives it.

        Raises OSError, TimeoutError and MeshError.
        """


async def dial(
    route: Route, factory: Callable[[], P], *, tunnel: Tunnel | None
) -> tuple[asyncio.Transport, P]:
    """A verified TLS connection to the API server of `route`; raises WayClosed, or what the tunnel raises."""
    try:
        async with asyncio.timeout(LIMIT):
            if route.host:
                return await _dial_directly(route, factory)
            if tunnel is None:
                raise WayClosed(route, why="there is no gateway here")
            return await tunnel(
                factory,
                cluster=route.cluster,
                inner=_context(route.ca, True),
                server_name=API_SERVER_NAME,
            )
    except MeshError:
        # Some of them are OSErrors as well (NoTunnel), and say better what is wrong.
        raise
    except TimeoutError as error:
        raise WayClosed(route, why=f"no answer within {LIMIT:g} s") from error
    except (OSError, ValueError) as error:
        raise WayClosed(route, why=str(error) or type(error).__name__) from error


async def _dial_directly(route: Route, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
    transport, protocol = await asyncio.get_running_loop().create_connection(
        factory,
        route.host,
        route.port,
        ssl=_context(route.ca, False),
        server_hostname=route.host,
        ssl_handshake_timeout=LIMIT,
        ssl_shutdown_timeout=_SHUTDOWN_LIMIT,
    )
    tls = transport.get_extra_info("ssl_object")
    names = tls.getpeercert() or {}
    if not (is_named(names, route.host) or is_named(names, API_SERVER_NAME)):
        transport.abort()
        raise WayClosed(route, why=f"its certificate names neither {route.host} nor {API_SERVER_NAME}")
    keep_alive(transport)
    return transport, protocol


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Have the kernel find out that the other end is gone: a watch or a shell may be silent for hours."""
    carrier = transport.get_extra_info("socket")
    if carrier is not None:
        carrier.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _ALIVE:
            carrier.setsockopt(socket.IPPROTO_TCP, option, value)


# A certificate as ssl gives it: a dict whose values are tuples of several depths, hence Any.
def is_named(certificate: dict[str, Any], host: str) -> bool:
    """Whether a verified certificate (`getpeercert`) is for `host`, by its subject alternative names."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        wanted = host.lower().rstrip(".")
        return any(
            kind == "DNS" and _covers(value.lower(), wanted)
            for kind, value in certificate.get("subjectAltName", ())
        )
    return any(
        kind == "IP Address" and ipaddress.ip_address(value.strip()) == address
        for kind, value in certificate.get("subjectAltName", ())
    )


def _covers(pattern: str, host: str) -> bool:
    if pattern.startswith("*."):
        return host.partition(".")[2] == pattern[2:] and not host.startswith(".")
    return pattern == host


@lru_cache(maxsize=256)
def _context(ca: str, by_name: bool) -> ssl.SSLContext:
    """A context that demands a certificate below `ca`; `by_name`: for the server name that is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Without: `_dial_directly` looks, because one of two names will do.
    context.check_hostname = by_name
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=ca)
    context.set_alpn_protocols(["http/1.1"])
    return context
