"""The port of the access proxy: TLS 1.3, a client certificate if somebody has one.

1. At most `MOST_AT_ONCE` connections; a handshake has a limit. Who shows no certificate has at most
   `MOST_WITHOUT` of them, so that the hub's own front proxy always finds room.
2. What a handshake verifies by is chosen before it, never in its middle (ruling 3); no session is resumed, so
   that each connection shows anew who it is.
3. A changed CA or certificate holds for the next connection; the rules about who is who for the next request.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final, Never

from mesh_placement.access.client_trust import shown_in
from mesh_placement.access.session import Desk, Session
from mesh_placement.access.wire import Wire
from mesh_placement.decide.caller import Shown
from mesh_placement.way.dial import keep_alive
from mesh_runtime.log import logger
from mesh_runtime.tls import Credentials, unasking_context

_log = logger(__name__)

MOST_AT_ONCE: Final = 4096
MOST_WITHOUT: Final = 3072
_HANDSHAKE_LIMIT: Final = 5.0
_SHUTDOWN_LIMIT: Final = 1.0
_PAUSE: Final = 0.1
_BACKLOG: Final = 512


def context_for(credentials: Credentials, *, cas: str) -> ssl.SSLContext:
    """A context for accepting that verifies a client certificate by `cas` (PEM) where one is shown.

    Raises UnusableCredentials.
    """
    context = unasking_context(credentials, alpn=("http/1.1",))
    if cas:
        context.verify_mode = ssl.CERT_OPTIONAL
        # As the hub does: a CA that is listed is believed, whoever has signed it.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=cas)
    return context


class Listener:
    """Accepts on `bound` while `context` gives one."""

    def __init__(
        self, bound: socket.socket, *, desk: Desk, context: Callable[[], ssl.SSLContext | None]
    ) -> None:
        self._bound = bound
        self._desk = desk
        self._context = context
        self._inside = 0
        self._without = 0

    async def run(self) -> Never:
        """Accept, for ever."""
        self._bound.setblocking(False)
        self._bound.listen(_BACKLOG)
        async with asyncio.TaskGroup() as group:
            while True:
                await self._accept(group)
        raise AssertionError("the listener ended")

    async def _accept(self, group: asyncio.TaskGroup) -> None:
        try:
            connection, _ = await asyncio.get_running_loop().sock_accept(self._bound)
        except OSError as error:
            _log.warning("a connection is not taken", why=str(error))
            await asyncio.sleep(_PAUSE)
            return
        context = self._context()
        if context is None or self._inside >= MOST_AT_ONCE:
            connection.close()
            return
        self._inside += 1
        group.create_task(self._serve(connection, context))

    async def _serve(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        wire = Wire()
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # The protocol that uvloop gives back here is not ours but its own for TLS (0.23).
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: wire,
                connection,
                ssl=context,
                ssl_handshake_timeout=_HANDSHAKE_LIMIT,
                ssl_shutdown_timeout=_SHUTDOWN_LIMIT,
            )
        except (OSError, TimeoutError) as error:
            connection.close()
            _log.info("a handshake failed", why=str(error) or type(error).__name__)
            self._inside -= 1
            return
        try:
            keep_alive(transport)
            tls = transport.get_extra_info("ssl_object")
            if tls is not None:
                await self._converse(wire, shown=shown_in(tls))
        finally:
            transport.abort()
            self._inside -= 1

    async def _converse(self, wire: Wire, *, shown: Shown | None) -> None:
        if shown is not None:
            await Session(wire, shown=shown, desk=self._desk).run()
            return
        if self._without >= MOST_WITHOUT:
            return
        self._without += 1
        try:
            await Session(wire, shown=None, desk=self._desk).run()
        finally:
            self._without -= 1
