"""Tells peers what this cluster exports: the server of the controllers' stream, on every replica.

1. A peer is a controller of another member of our domain, by its certificate, and says so in its hello.
2. A slow peer gets the newest state of each export, not every change: nothing is queued for it. One that
   is too far behind, or silent for three heartbeats, is let go and comes again.
3. A new certificate of ours changes the listener, not the streams that stand.
4. Who is refused by the trust of the moment is closed at once, and told why; a newcomer, whom our texts do
   not name yet, may say hello and pass on newer ones (`trust_talk`).
5. A replica whose caches may be behind tells no complete list: what it lacks, the peer would delete.
6. A cluster that leaves says good-bye to a peer that has taken in the last of its unexports.
7. Nobody takes the others' places (`stream_places`): whom an issuer let in is served only where somebody has
   made a MeshPeer for it, because the issuer's holder may let in as many as it likes.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Never, Protocol, TypeVar

from mesh_controller.greeting import Greeting
from mesh_controller.identity_watch import IdentityWatch
from mesh_controller.leaving_watch import LeavingWatch
from mesh_controller.own_records import OwnRecords
from mesh_controller.peer_greeted import greeted
from mesh_controller.peer_reader import PeerReader
from mesh_controller.peer_stream import HEARTBEAT, PeerStream, StreamEnded
from mesh_controller.rare_lines import RareLines
from mesh_controller.stream_places import StreamPlaces, key_above
from mesh_controller.trust_loop import TrustLoop
from mesh_controller.trust_talk import TrustTalk
from mesh_controller.unexports_watch import UnexportsWatch
from mesh_core.errors import MeshError
from mesh_core.identity import Component, Expected
from mesh_core.leaving import parting
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
    Trust,
    TrustReport,
    Watch,
)
from mesh_core.trust import Chain
from mesh_core.trust_exchange import reported
from mesh_runtime.latest import first_of
from mesh_runtime.leaf import Standing
from mesh_runtime.log import logger
from mesh_runtime.pem import UnreadablePem
from mesh_runtime.record_signing import signer_of
from mesh_runtime.tls import (
    Believed,
    Credentials,
    PeerRefused,
    UnusableCredentials,
    prove_peer,
    server_context,
)

_log = logger(__name__)

M = TypeVar("M", Mesh, TrustReport)

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
        self,
        listener: socket.socket,
        *,
        records: OwnRecords,
        greeting: Greeting,
        identities: IdentityWatch,
        trust: TrustLoop,
        leaving: LeavingWatch,
        unexports: UnexportsWatch,
    ) -> None:
        self._listener = listener
        self._records = records
        self._greeting = greeting
        self._identities = identities
        self._trust = trust
        self._leaving = leaving
        self._unexports = unexports
        self._standing: Standing | None = None
        self._places = StreamPlaces()
        self._lines = RareLines()

    async def run(self, trust: StandingReader) -> None:
        """Listen with the certificate of the moment, for ever."""
        await self._records.filled.wait()
        standing: Standing | None = None
        async with asyncio.TaskGroup() as group:
            while True:
                standing = trust.current or await trust.after(standing)
                self._standing = standing
                self._sign_by(standing)
                server = await self._listen(standing, group) if standing is not None else None
                try:
                    standing = await self._another(trust, shown=standing)
                finally:
                    if server is not None:
                        server.close()

    async def _another(self, trust: StandingReader, *, shown: Standing | None) -> Standing | None:
        """What is to be shown, or whose roots are to be asked for, instead of `shown`, when there is such.

        Other rules for the same roots close no listener: a handshake that is going on would break off.
        """
        while True:
            current = await trust.after(self._standing)
            if shown is None or current is None or _handshake(current) != _handshake(shown):
                return current
            self._standing = current

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
            serving = self._serve(PeerStream(reader, writer), standing=self._standing or standing)
            try:
                group.create_task(serving)
            except RuntimeError:
                # A handshake may end after the listener was closed, and the group is ending too.
                serving.close()
                writer.transport.abort()

        # A duplicate of the socket: closing the server closes that, and no connection waits in vain.
        server = await asyncio.start_server(
            accept,
            sock=self._listener.dup(),
            ssl=context,
            ssl_handshake_timeout=_HANDSHAKE_LIMIT,
            ssl_shutdown_timeout=_SHUTDOWN_LIMIT,
            start_serving=False,
        )
        try:
            await server.start_serving()
        except BaseException:
            # Whoever is cancelled in here would otherwise leave the duplicate open.
            server.close()
            raise
        return server

    async def _serve(self, stream: PeerStream, *, standing: Standing) -> None:
        """One stream, from the end of the handshake to its own; nothing that a peer does gets out."""
        reason, peer, key = "", "unknown", ""
        try:
            proved = _who(stream, standing=standing)
            talk = TrustTalk(self._trust, proved=proved, domain=standing.identity.domain)
            peer, key = talk.peer, key_above(proved.chain)
            with self._places.taken(peer, key=key):
                await self._speak(stream, talk=talk, chain=proved.chain)
        except* StreamEnded as group:
            if self._is_due(peer, why := _first(group), key=key):
                _log.info("a peer's stream ended", peer=peer, why=why)
        except* IdentityUsedTwice as group:
            reason = _first(group)
            self._identities.clash(peer, why=reason)
        except* (PeerProtocolError, PeerRefused) as group:
            reason = _first(group)
            if self._is_due(peer, reason, key=key):
                _log.warning("a peer's stream is closed", peer=peer, why=reason)
        except* (ssl.SSLError, OSError) as group:
            if self._is_due(peer, why := _first(group), key=key):
                _log.warning("a peer's stream broke", peer=peer, why=why)
        finally:
            await stream.close(reason=reason)

    def _is_due(self, peer: str, why: str, *, key: str) -> bool:
        return self._lines.is_due(peer, why, key=key, now=asyncio.get_running_loop().time())

    async def _speak(self, stream: PeerStream, *, talk: TrustTalk, chain: Chain) -> None:
        peer = talk.peer
        with self._admitted(talk, chain=chain):
            ours = self._greeting.hello(peer)
            await stream.send((ours,))
            theirs, watch, rest = await greeted(stream, ours=ours, talk=talk)
        check_hello(theirs, cluster=peer, ours=ours, pinned=self._identities.pinned(peer))
        resumes = watch.epoch == self._records.log.epoch
        if not resumes and not self._records.is_current:
            raise PeerProtocolError("this replica has lost sight of its API server; another one may not have")
        _log.info("a peer watches", peer=peer, resumes=resumes)
        is_left = True
        while is_left:
            is_left = self._records.log.prepare(_SIGNED_AT_ONCE)
            await asyncio.sleep(0)
        reader = PeerReader(theirs)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tell(stream, watch, ours=ours, reader=reader))
            group.create_task(self._hear(stream, rest, talk=talk, reader=reader))
            group.create_task(talk.watch())
            group.create_task(talk.pass_on(stream))
            if chain.issuer:
                group.create_task(self._while_linked(peer))

    @contextmanager
    def _admitted(self, talk: TrustTalk, *, chain: Chain) -> Iterator[None]:
        """While the greeting goes on: count newcomers; raises PeerRefused for whom nobody lets in."""
        is_known = talk.admit()
        if chain.issuer:
            self._demand_link(talk.peer)
        if is_known:
            yield
            return
        with self._places.waiting(key=key_above(chain), why=talk.verdict.words):
            yield

    def _demand_link(self, peer: str) -> None:
        """Raise PeerRefused unless somebody here has made a MeshPeer for `peer`."""
        if not self._greeting.knows(peer):
            raise PeerRefused(f"{peer} came in by an issuer and this cluster has no MeshPeer for it")

    async def _while_linked(self, peer: str) -> Never:
        while True:
            mesh = self._greeting.mesh.value
            self._demand_link(peer)
            # What is said of the mesh has a bound, so a MeshPeer may go without a word there.
            await first_of(self._greeting.mesh.after(mesh), limit=HEARTBEAT)

    async def _tell(self, stream: PeerStream, watch: Watch, *, ours: Hello, reader: PeerReader) -> None:
        """Everything since the peer's position, then every change, and heartbeats in between."""
        log, theirs = self._records.log, reader.hello
        shards = FEATURE_SHARDS in theirs.features
        mesh, report = self._greeting.mesh.value, self._greeting.report.value
        told = () if report is None or reported(report) == reported(ours) else (report,)
        replay = log.opening(watch, shards=shards)
        reader.sent(replay.messages)
        await stream.send((*told, *_of(mesh), *replay.messages))
        while True:
            now = self._greeting.hello(theirs.cluster)
            if (ours.network, ours.dial) != (now.network, now.dial):
                raise StreamEnded("this cluster is on another network now, or another side dials")
            if mesh != (mesh := self._greeting.mesh.value):
                await stream.send(_of(mesh))
            if report != (report := self._greeting.report.value):
                await stream.send(_of(report))
            revision = replay.revision
            if not log.remembers(revision):
                raise PeerProtocolError("the peer is too far behind and has to list again")
            replay = log.since(revision, shards=shards, signer=replay.signer)
            if replay.messages:
                reader.sent(replay.messages)
                await stream.send(replay.messages)
                continue
            since = self._leaving.since.value
            if since is not None and not len(log) and reader.is_up_to_date:
                self._leaving.acknowledged(theirs.cluster)
                await stream.send((parting(since=since),))
                raise StreamEnded("this cluster leaves")
            await first_of(
                self._records.revision.after(revision or None),
                self._greeting.mesh.after(mesh),
                self._greeting.report.after(report),
                self._leaving.since.after(since),
                *((reader.acknowledged.after(reader.acknowledged.value),) if since is not None else ()),
                limit=HEARTBEAT,
            )
            now_said = self._records.revision.value, self._greeting.mesh.value, self._greeting.report.value
            if now_said == (revision or None, mesh, report):
                await stream.send((Heartbeat(unseen=self._records.unseen),))

    async def _hear(
        self, stream: PeerStream, messages: list[Message], *, talk: TrustTalk, reader: PeerReader
    ) -> None:
        """Take acknowledgements and trust until the peer leaves; silence ends the stream."""
        while True:
            for message in messages:
                match message:
                    case Ack(revision=revision):
                        reader.acknowledged.publish(revision)
                        if reader.is_up_to_date:
                            self._unexports.acknowledged(talk.peer, revision)
                    case Trust():
                        talk.take(message)
                    case Bye(reason=reason):
                        raise StreamEnded(f"the peer left: {reason[:300]!r}")
                    case _:
                        raise PeerProtocolError("the peer sends what only a server sends")
            messages = await stream.receive()


def _handshake(standing: Standing) -> tuple[Credentials, tuple[str, ...]]:
    """What handshakes depend on."""
    return standing.credentials, standing.roots


def _who(stream: PeerStream, *, standing: Standing) -> Believed:
    """Who OpenSSL says is at the other end; raises PeerRefused or PeerProtocolError."""
    if stream.tls.selected_alpn_protocol() != ALPN_PEER:
        raise PeerProtocolError(f"the peer does not speak {ALPN_PEER}")
    identity = standing.identity
    expected = Expected(domain=identity.domain, components=frozenset({Component.CONTROLLER}))
    proved = prove_peer(stream.tls, expected=expected, trust=standing.trust)
    if proved.identity.cluster == identity.cluster:
        raise PeerRefused(f"the peer has our own identity {proved.identity}")
    return proved


def _of(said: M | None) -> tuple[M, ...]:
    return () if said is None else (said,)


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    """What the first of the errors says."""
    error = group.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        return _first(error)
    return error.what if isinstance(error, MeshError) else str(error)
