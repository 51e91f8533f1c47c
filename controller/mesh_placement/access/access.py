"""The access proxy: one path to the API of every member, for whoever the hub lets (`clusters/proxy`)."""

import asyncio
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Never

from mesh_core.names import HEALTH_PORT
from mesh_placement.access.client_trust import ClientTrust
from mesh_placement.access.listener import Listener, context_for
from mesh_placement.access.pool import Pool
from mesh_placement.access.reviews import KEPT_SECONDS, Reviews
from mesh_placement.access.serving import Serving
from mesh_placement.access.session import Desk
from mesh_placement.names import ACCESS_PORT
from mesh_placement.way.dial import Tunnel
from mesh_placement.way.routes import Routes
from mesh_placement.way.tunnels import AccessLeaf, Tunnels
from mesh_runtime.binding import binding
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.health import health_server
from mesh_runtime.kube import KubeClient
from mesh_runtime.latest import first_of
from mesh_runtime.log import logger
from mesh_runtime.tls import UnusableCredentials

_log = logger(__name__)
_HOSTS: Final = "PLACEMENT_ACCESS_HOSTS"
_EXTRAS: Final = "PLACEMENT_ACCESS_EXTRAS"


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """`hosts`: names of the certificate beside the Service's. `extras`: keys of extra fields of a user that
    members are told. `kept_seconds`: how long the hub's word about a caller is good. Ports 0: the kernel's
    choice; `host` "" is all addresses."""

    port: int = ACCESS_PORT
    health_port: int = HEALTH_PORT
    host: str = ""
    hosts: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    kept_seconds: float = KEPT_SECONDS


def settings_in(environment: Mapping[str, str] = os.environ) -> AccessSettings:
    """What a pod's environment says: lists with commas."""
    return AccessSettings(hosts=_list(environment, _HOSTS), extras=_list(environment, _EXTRAS))


async def run_access(
    kube: KubeClient,
    *,
    settings: AccessSettings,
    tunnel: Tunnel | None = None,
    clock: Clock = utc_now,
    bound: socket.socket | None = None,
) -> Never:
    """Be the proxy until cancelled; `bound` is a socket to listen on instead of the settings' port.

    Without `tunnel` it is the one through this hub's own gateways.
    """
    trust, routes = ClientTrust(kube), Routes(kube, clock=clock)
    serving = Serving(kube, hosts=settings.hosts, clock=clock)
    leaf = AccessLeaf(kube)
    pool = Pool(tunnel=tunnel if tunnel is not None else Tunnels(leaf))
    reviews = Reviews(kube, seconds=settings.kept_seconds)
    desk = Desk(reviews, routes, pool, extras=settings.extras)
    context = _Context(desk, trust=trust, serving=serving)

    def is_ready() -> bool:
        return context.value is not None and routes.is_synced

    listener = bound if bound is not None else bound_socket(settings.host, settings.port)
    try:
        async with health_server(settings.health_port, ready=is_ready), asyncio.TaskGroup() as group:
            for part in (trust, routes, serving, context):
                group.create_task(part.run())
            # A hub need not be in a mesh: a certificate of it is for members that are reached by it.
            group.create_task(leaf.run(routes.by_tunnel))
            await routes.synced()
            await trust.synced.wait()
            await context.made.wait()
            _log.info("the access proxy listens", port=listener.getsockname()[1])
            await Listener(listener, desk=desk, context=lambda: context.value).run()
    finally:
        pool.close()
        listener.close()
    raise AssertionError("the access proxy ended")


class _Context:
    """What the next handshake goes by: made anew when the hub's CAs or our certificate change."""

    def __init__(self, desk: Desk, *, trust: ClientTrust, serving: Serving) -> None:
        self.value: ssl.SSLContext | None = None
        self.made = asyncio.Event()
        self._desk = desk
        self._trust = trust
        self._serving = serving

    async def run(self) -> Never:
        """Follow both, for ever."""
        while True:
            believed, credentials = self._trust.latest.value, self._serving.latest.value
            if believed is not None:
                self._desk.rules = believed[0]
            if credentials is not None:
                try:
                    self.value = context_for(credentials, cas=believed[1] if believed is not None else "")
                    self.made.set()
                except UnusableCredentials as error:
                    _log.error("the serving certificate cannot be used", why=str(error))
            await first_of(self._trust.latest.after(believed), self._serving.latest.after(credentials))


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that does not listen yet; of all addresses, of both families where there are two."""
    dual = not host and socket.has_dualstack_ipv6()
    bound = socket.socket(socket.AF_INET6 if dual or ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if dual:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    with binding(port):
        bound.bind((host or ("::" if dual else "0.0.0.0"), port))
    return bound


def _list(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in environment.get(name, "").split(",") if one.strip())
