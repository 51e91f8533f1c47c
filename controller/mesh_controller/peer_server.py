"""Tells peers what this cluster exports: the server of the controllers' stream, on every replica.

1. A peer is a controller of another member of our domain, by its certificate, and says so in its hello.
2. A slow peer gets the newest state of each export, not every change: nothing is queued for it. One that
   is too far behind, or silent for three heartbeats, is let go and comes again.
3. A new certificate of ours changes the listener, not the streams that stand.
4. A replica whose caches may be behind tells no complete list: what it lacks, the peer would delete.
"""

import asyncio
import socket
import ssl
from collections import Counter
from typing import Protocol

from mesh_controller.greeting import Greeting
from mesh_controller.identity_watch import IdentityWatch
from mesh_controller.own_records import OwnRecords
from mesh_controller.peer_stream import GREETING_LIMIT, HEARTBEAT, PeerStream, StreamEnded
from mesh_core.errors import MeshError
from mesh_core.identity import Component, Expected, Identity
from mesh_core.names import ALPN_PEER
from mesh_core.peer_identity import IdentityUsedTwice
from mesh_core.peer_session import check_hello
from mesh_core.peer_wire import (
    FEATURE_SHARDS,
    Ack,
    Bye,
    Heartbeat,
    Hello,
    Mesh,
    Message,
    PeerProtocolError,
    Watch,
)
from mesh_core.trust import Trust
from mesh_runtime.latest import first_of
from mesh_runtime.leaf import Standing
from mesh_runtime.log import logger
from mesh_runtime.pem import UnreadablePem
from mesh_runtime.record_signing import signer_of
from mesh_runtime.tls import PeerRefused, UnusableCredentials, server_context, verify_peer

_log = logger(__name__)

MOST_STREAMS = 256
MOST_OF_ONE = 16
"""Streams of one cluster: one at a time is the rule, and a dead one is noticed after three heartbeats."""
_HANDSHAKE_LIMIT = 5.0
_SHUTDOWN_LIMIT = 1.0
# Signatures made without a pause: ten milliseconds or so.
_SIGNED_AT_ONCE = 200


class StandingReader(Protocol):
    """Where our own certificate and the roots come from."""

    @property
    def current(self) -> Standing | None:
        """What may be shown now."""

    async def after(self, seen: Standing | None) -> Standing | None:
        """The standing, as soon as it is not `seen`."""


class PeerServer:
    """Serves streams on `listener`."""

    def __init__(
        self, listener: socket.socket, *, records: OwnRecords, greeting: Greeting, identities: IdentityWatch
    ) -> None:
        self._listener = listener
        self._records = records
        self._greeting = greeting
        self._identities = identities
        self._streams = 0
        self._by_peer: Counter[str] = Counter()

    async def run(self, trust: StandingReader) -> None:
        """Listen with the certificate of the moment, for ever."""
        await self._records.filled.wait()
        standing: Standing | None = None
        async with asyncio.TaskGroup() as group:
            while True:
                standing = trust.current or await trust.after(standing)
                self._sign_by(standing)
                server = await self._listen(standing, group) if standing is not None else None
                try:
                    await trust.after(standing)
                finally:
                    if server is not None:
                        server.close()

    def _sign_by(self, standing: Standing | None) -> None:
        """Have what is sent from now on signed by the leaf that handshakes show."""
        if standing is None:
            return
        try:
            signer = signer_of(standing.credentials)
        except UnreadablePem as error:
            _log.error("records are not signed", why=str(error))
            return
        if signer != self._records.log.signer:
            self._records.log.signer = signer

    async def _listen(self, standing: Standing, group: asyncio.TaskGroup) -> asyncio.Server | None:
        try:
            context = server_context(standing.credentials, roots=standing.roots, alpn=(ALPN_PEER,))
        except UnusableCredentials as error:
            _log.error("peers are not served", why=str(error))
            return None

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            serving = self._serve(PeerStream(reader, writer), standing=standing)
            try:
                group.create_task(serving)
            except RuntimeError:
                # A handshake may end after the listener was closed, and the group is ending too.
                serving.close()
                writer.transport.abort()

        # A duplicate of the socket: closing the server closes that, and no connection waits in vain.
        return await asyncio.start_server(
            accept,
            sock=self._listener.dup(),
            ssl=context,
            ssl_handshake_timeout=_HANDSHAKE_LIMIT,
            ssl_shutdown_timeout=_SHUTDOWN_LIMIT,
        )

    async def _serve(self, stream: PeerStream, *, standing: Standing) -> None:
        """One stream, from the end of the handshake to its own; nothing that a peer does gets out."""
        self._streams += 1
        reason, peer = "", "unknown"
        try:
            peer = _who(stream, identity=standing.identity, trust=standing.trust)
            self._by_peer[peer] += 1
            if self._streams > MOST_STREAMS:
                raise PeerProtocolError(f"more than {MOST_STREAMS} streams are open")
            if self._by_peer[peer] > MOST_OF_ONE:
                raise PeerProtocolError(f"more than {MOST_OF_ONE} streams of {peer} are open")
            await self._speak(stream, peer=peer)
        except* StreamEnded as group:
            _log.info("a peer's stream ended", peer=peer, why=_first(group))
        except* IdentityUsedTwice as group:
            reason = _first(group)
            self._identities.clash(peer, why=reason)
        except* (PeerProtocolError, PeerRefused) as group:
            reason = _first(group)
            _log.warning("a peer's stream is closed", peer=peer, why=reason)
        except* (ssl.SSLError, OSError) as group:
            _log.warning("a peer's stream broke", peer=peer, why=_first(group))
        finally:
            self._streams -= 1
            self._by_peer[peer] -= 1
            if self._by_peer[peer] <= 0:
                del self._by_peer[peer]
            await stream.close(reason=reason)

    async def _speak(self, stream: PeerStream, *, peer: str) -> None:
        ours = self._greeting.hello(peer)
        await stream.send((ours,))
        theirs, watch, rest = await _greeted(stream)
        check_hello(theirs, cluster=peer, ours=ours, pinned=self._identities.pinned(peer))
        resumes = watch.epoch == self._records.log.epoch
        if not resumes and not self._records.is_current:
            raise PeerProtocolError("this replica has lost sight of its API server; another one may not have")
        _log.info("a peer watches", peer=peer, resumes=resumes)
        is_left = True
        while is_left:
            is_left = self._records.log.prepare(_SIGNED_AT_ONCE)
            await asyncio.sleep(0)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tell(stream, watch, ours=ours, theirs=theirs))
            group.create_task(_hear(stream, rest))

    async def _tell(self, stream: PeerStream, watch: Watch, *, ours: Hello, theirs: Hello) -> None:
        """Everything since the peer's position, then every change, and heartbeats in between."""
        log, shards = self._records.log, FEATURE_SHARDS in theirs.features
        mesh = self._greeting.mesh.value
        replay = log.opening(watch, shards=shards)
        await stream.send((*_of(mesh), *replay.messages))
        while True:
            now = self._greeting.hello(theirs.cluster)
            if (ours.network, ours.dial) != (now.network, now.dial):
                raise StreamEnded("this cluster is on another network now, or another side dials")
            if mesh != (mesh := self._greeting.mesh.value):
                await stream.send(_of(mesh))
            revision = replay.revision
            if not log.remembers(revision):
                raise PeerProtocolError("the peer is too far behind and has to list again")
            replay = log.since(revision, shards=shards, signer=replay.signer)
            if replay.messages:
                await stream.send(replay.messages)
                continue
            await first_of(
                self._records.revision.after(revision or None),
                self._greeting.mesh.after(mesh),
                limit=HEARTBEAT,
            )
            if (self._records.revision.value, self._greeting.mesh.value) == (revision or None, mesh):
                await stream.send((Heartbeat(),))


def _who(stream: PeerStream, *, identity: Identity, trust: Trust) -> str:
    """The cluster id of the other end; raises PeerRefused or PeerProtocolError."""
    if stream.tls.selected_alpn_protocol() != ALPN_PEER:
        raise PeerProtocolError(f"the peer does not speak {ALPN_PEER}")
    expected = Expected(domain=identity.domain, components=frozenset({Component.CONTROLLER}))
    theirs = verify_peer(stream.tls, expected=expected, trust=trust).identity
    if theirs.cluster == identity.cluster:
        raise PeerRefused(f"the peer has our own identity {theirs}")
    return theirs.cluster


async def _greeted(stream: PeerStream) -> tuple[Hello, Watch, list[Message]]:
    """The peer's hello, its `watch`, and what came behind them."""
    messages: list[Message] = []
    try:
        async with asyncio.timeout(GREETING_LIMIT):
            while len(messages) < 2:
                messages += await stream.receive()
    except TimeoutError as error:
        raise StreamEnded("no greeting came") from error
    match messages:
        case [Hello() as theirs, Watch() as watch, *rest]:
            return theirs, watch, rest
        case [Hello(), Bye(reason=reason), *_]:
            raise StreamEnded(f"the peer left: {reason[:600]!r}")
        case _:
            raise PeerProtocolError("the stream does not begin with hello and watch")


async def _hear(stream: PeerStream, messages: list[Message]) -> None:
    """Take acknowledgements until the peer leaves; silence ends the stream."""
    while True:
        for message in messages:
            match message:
                case Ack():
                    pass
                case Bye(reason=reason):
                    raise StreamEnded(f"the peer left: {reason[:300]!r}")
                case _:
                    raise PeerProtocolError("the peer sends what only a server sends")
        messages = await stream.receive()


def _of(mesh: Mesh | None) -> tuple[Mesh, ...]:
    return () if mesh is None else (mesh,)


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    """What the first of the errors says."""
    error = group.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        return _first(error)
    return error.what if isinstance(error, MeshError) else str(error)
