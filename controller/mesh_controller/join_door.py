"""The door for newcomers (ruling 3): a port that listens only while an invitation is open.

1. Nobody who comes has a certificate, so none is asked for; what is said before the proof of an invitation is
   only read up to a small bound, and nothing of it is believed.
2. Every connection has its bounds before TLS begins: a rate in total, a number at a time, a time for the
   handshake and one for all. All come through our gateways, which bound each source by itself.
3. An answer goes to whoever asked, and then the connection ends.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Final, Protocol

from mesh_controller.reception import Reception
from mesh_core.errors import MeshError
from mesh_core.invitations import invitations_in, is_open, next_end
from mesh_core.join_wire import LONGEST_ACCEPT, Accept, BadJoinMessage, Refused
from mesh_core.names import INVITATIONS_SECRET, SYSTEM_NAMESPACE
from mesh_core.objects import Secret
from mesh_core.token_bucket import TokenBucket
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.join_stream import HANDSHAKE_LIMIT, LIMIT, JoinStream, door_context
from mesh_runtime.kube import SECRETS, Informer, KubeClient
from mesh_runtime.latest import Latest, first_of
from mesh_runtime.leaf import Standing
from mesh_runtime.log import logger
from mesh_runtime.tls import UnusableCredentials

_log = logger(__name__)

MOST_AT_ONCE: Final = 16
RATE: Final = 5.0
BURST: Final = 20
_BACKLOG: Final = 32
_READ_LIMIT: Final = 1 << 15
_SHUTDOWN_LIMIT: Final = 1.0
_LONGEST_WAIT: Final = 300.0
_PAUSE: Final = 0.1
_RETRY: Final = 5.0


class StandingReader(Protocol):
    """Where our own certificate comes from."""

    @property
    def current(self) -> Standing | None:
        """What may be shown now."""

    async def after(self, seen: Standing | None) -> Standing | None:
        """The standing, as soon as it is not `seen`."""


class JoinDoor:
    """Lets newcomers in at a socket that `bound` makes; run it in a task group of every replica."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        reception: Reception,
        standing: StandingReader,
        bound: Callable[[], socket.socket],
        clock: Clock = utc_now,
    ) -> None:
        self._reception = reception
        self._standing = standing
        self._bound = bound
        self._clock = clock
        self._secrets = Informer(
            kube, SECRETS, namespace=SYSTEM_NAMESPACE, fields=f"metadata.name={INVITATIONS_SECRET}"
        )
        self._secret: Latest[Secret] = Latest()
        self._rate = TokenBucket(RATE, BURST)
        self._inside = 0
        self.port = 0
        """Where it listens now; 0 while it does not."""

    async def run(self) -> None:
        """Watch the invitations, and listen while one of them is open, for ever."""
        self._secrets.on_change(self._look)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._secrets.run())
            while True:
                secret, standing = self._secret.value, self._standing.current
                if standing is None or not self._is_open():
                    # A standing may come, an invitation may come; nothing opens by time alone.
                    await first_of(self._secret.after(secret), self._standing.after(standing))
                    continue
                await self._listen(standing, group)

    def _look(self) -> None:
        self._secret.publish(self._secrets.get(INVITATIONS_SECRET, namespace=SYSTEM_NAMESPACE))

    def _is_open(self) -> bool:
        now = self._clock()
        return any(is_open(one, now=now) for one in invitations_in(self._secret.value).values())

    async def _listen(self, standing: Standing, group: asyncio.TaskGroup) -> None:
        """Until no invitation is open any more, or another certificate is to be shown."""
        try:
            context = door_context(standing.credentials)
            listener = self._bound()
        except (UnusableCredentials, MeshError) as error:
            _log.error("newcomers are not let in", why=str(error))
            await asyncio.sleep(_RETRY)
            return
        with closing(listener):
            listener.setblocking(False)
            listener.listen(_BACKLOG)
            self.port = listener.getsockname()[1]
            _log.info("the door for newcomers is open")
            accepting = group.create_task(self._accept(listener, context, group))
            try:
                # Whom we believe changes with each newcomer; only what is shown here asks for a new door.
                while self._is_open() and self._shows(standing):
                    await self._change()
            finally:
                self.port = 0
                accepting.cancel()
                with suppress(asyncio.CancelledError):
                    await accepting
        _log.info("the door for newcomers is closed")

    def _shows(self, standing: Standing) -> bool:
        current = self._standing.current
        return current is not None and current.credentials == standing.credentials

    async def _change(self) -> None:
        end = next_end(invitations_in(self._secret.value).values(), now=self._clock())
        await first_of(
            self._secret.after(self._secret.value),
            self._standing.after(self._standing.current),
            limit=min(_LONGEST_WAIT, _LONGEST_WAIT if end is None else end + _PAUSE),
        )

    async def _accept(
        self, listener: socket.socket, context: ssl.SSLContext, group: asyncio.TaskGroup
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                _log.warning("a newcomer's connection is not taken", why=str(error))
                await asyncio.sleep(_PAUSE)
                continue
            if self._inside >= MOST_AT_ONCE or not self._rate.take(now=loop.time()):
                connection.close()
                continue
            self._inside += 1
            group.create_task(self._attend(connection, context))

    async def _attend(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        """One connection, to its end; nothing that its other end does gets out."""
        try:
            async with asyncio.timeout(LIMIT):
                stream = await _shaken(connection, context)
                try:
                    await self._speak(stream)
                finally:
                    await stream.close()
        except (OSError, EOFError, MeshError) as error:
            _log.info("a newcomer's connection ended early", why=str(error) or type(error).__name__)
        except Exception as error:
            # A defect met by one connection must not end the controller, whose task group this is.
            _log.error("a newcomer's connection is dropped by a defect", error=error)
        finally:
            self._inside -= 1

    async def _speak(self, stream: JoinStream) -> None:
        if not stream.speaks_ours:
            return
        offer = self._reception.offer()
        await stream.send(offer)
        if isinstance(offer, Refused):
            return
        match await stream.receive(most=LONGEST_ACCEPT):
            case Accept() as accept:
                await stream.send(await self._reception.answer(accept, challenge=offer.challenge))
            case _:
                raise BadJoinMessage("a newcomer says something else than accept")


async def _shaken(connection: socket.socket, context: ssl.SSLContext) -> JoinStream:
    """The connection after its handshake; raises OSError (ssl.SSLError among them)."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_READ_LIMIT, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    try:
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            connection,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_LIMIT,
            ssl_shutdown_timeout=_SHUTDOWN_LIMIT,
        )
    except BaseException:
        connection.close()
        raise
    return JoinStream(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
