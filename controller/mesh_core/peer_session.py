"""One stream from a peer, seen from the importing end: hello, watch, a list or a resumption, changes.

1. Nothing is believed before the peer's hello agrees with its certificate.
2. What comes between `watch` and `synced` is put aside. It counts when `synced` says what it was, and a
   complete list only when count and hash agree: a stream that breaks off before has changed nothing.
3. Messages that have no place in the phase end the stream; so does a list that is longer than any.

Bytes and time are the caller's: it feeds messages and sends what it is told to.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, assert_never

from mesh_core.admission import EntryKey
from mesh_core.objects.mesh import PeerTrust
from mesh_core.peer_identity import check_identity
from mesh_core.peer_log import ListDigest
from mesh_core.peer_view import MOST_LISTED, Arrival, PeerView
from mesh_core.peer_wire import (
    FEATURE_SIGNATURES,
    PROTOCOL_VERSION,
    Ack,
    Bye,
    Drop,
    Heartbeat,
    Hello,
    Mesh,
    Message,
    PeerProtocolError,
    Put,
    Signer,
    Synced,
    Trust,
    TrustReport,
    Watch,
)
from mesh_core.record_signature import RecordVerifier, Signature
from mesh_core.trust_exchange import reported

_MOST_LISTED_BYTES: Final = 64 << 20


class PeerLeft(PeerProtocolError):
    """The other end said why it closes."""


class ClustersetLeft(PeerLeft):
    """The other end said that its cluster has left the clusterset; `since` is when, in its own words."""

    def __init__(self, since: str) -> None:
        super().__init__("the peer has left the clusterset")
        self.since = since


class Phase(Enum):
    """How far a session is."""

    GREETING = "greeting"
    WATCHING = "watching"
    SYNCED = "synced"


@dataclass(frozen=True, slots=True)
class Effect:
    """What a message leads to: what to send, whether all may have changed, or which keys did.

    `mesh` says that something else is known of the peer's own peers, `report` the same of its trust; `trust`
    are texts that it passes on.
    """

    reply: Message | None = None
    synced: bool = False
    mesh: bool = False
    report: bool = False
    trust: Trust | None = None
    changed: tuple[EntryKey, ...] = ()


class PeerSession:
    """One stream that feeds `view`; `hello` is what we say of ourselves.

    `pinned` is the UID of the kube-system of the cluster that this peer was so far, "" for nobody. Without a
    `verifier` signatures are not looked at.
    """

    def __init__(
        self, view: PeerView, *, hello: Hello, pinned: str = "", verifier: RecordVerifier | None = None
    ) -> None:
        self.view = view
        self.hello = hello
        self.phase = Phase.GREETING
        self.peer: Hello | None = None
        self.mesh: Mesh | None = None
        self.trust: PeerTrust | None = None
        self._pinned = pinned
        self._verifier = verifier
        self._aside: list[Arrival | Drop] = []
        self._aside_bytes = 0

    def take(self, message: Message) -> Effect:
        """One message of the peer; raises PeerProtocolError when the stream has to be closed."""
        match message:
            case Hello():
                return self._greet(message)
            case Mesh():
                if self.phase is Phase.GREETING:
                    raise PeerProtocolError("the peer speaks of its peers before its hello")
                self.mesh = message
                return Effect(mesh=True)
            case Trust() | TrustReport():
                return self._trusted(message)
            case Signer():
                return self._adopt(message)
            case Put():
                return self._change(self._arrived(message), revision=message.revision)
            case Drop():
                return self._change(message, revision=message.revision)
            case Synced():
                return self._sync(message)
            case Heartbeat():
                return Effect(reply=Ack(revision=self.view.revision))
            case Bye(left=since) if since and self.phase is not Phase.GREETING:
                raise ClustersetLeft(since)
            case Bye():
                raise PeerLeft(f"the peer closed the stream: {message.reason[:600]!r}")
            case Watch() | Ack():
                raise PeerProtocolError("the peer speaks like a client on a stream that we opened")
            case _:
                assert_never(message)

    def _greet(self, theirs: Hello) -> Effect:
        if self.phase is not Phase.GREETING:
            raise PeerProtocolError("the peer greets twice")
        check_hello(theirs, cluster=self.view.cluster, ours=self.hello, pinned=self._pinned)
        self.peer, self.trust = theirs, reported(theirs)
        self.phase = Phase.WATCHING
        return Effect(reply=Watch(epoch=self.view.epoch, revision=self.view.revision))

    def _trusted(self, message: Trust | TrustReport) -> Effect:
        if self.phase is Phase.GREETING:
            raise PeerProtocolError("the peer speaks of trust before its hello")
        if isinstance(message, Trust):
            return Effect(trust=message)
        self.trust = reported(message)
        return Effect(report=True)

    def _adopt(self, signer: Signer) -> Effect:
        """Another key signs from here on; who shows one that is not its own is not listened to."""
        if self.phase is Phase.GREETING:
            raise PeerProtocolError("the peer speaks of its signer before its hello")
        fault = self._verifier.adopt(signer.chain) if self._verifier is not None else ""
        if fault:
            raise PeerProtocolError(f"the peer's signer is not its controller: {fault}")
        return Effect()

    def _arrived(self, put: Put) -> Arrival:
        """A put with what its signature is worth, by the signer of this moment of the stream."""
        verifier = self._verifier
        if verifier is None or self.peer is None:
            return Arrival(put)
        if not put.signature:
            is_due = FEATURE_SIGNATURES in self.peer.features
            return Arrival(
                put, fault="it is not signed, as all records of this peer should be" if is_due else ""
            )
        if not verifier.holds(bytes(put.record), signature=put.signature):
            return Arrival(put, fault="its signature is not that of the peer's controller")
        return Arrival(put, Signature(put.signature, verifier.leaf))

    def _change(self, message: Arrival | Drop, *, revision: int) -> Effect:
        match self.phase:
            case Phase.GREETING:
                raise PeerProtocolError("the peer sends records before its hello")
            case Phase.WATCHING:
                self._put_aside(message)
                # Not taken in yet, but heard: a long list over a thin line is not silence.
                return Effect(reply=Ack(revision=self.view.revision))
            case Phase.SYNCED:
                if revision <= self.view.revision:
                    raise PeerProtocolError("the peer's revisions do not grow")
                return Effect(
                    changed=self.view.change(message),
                    reply=Ack(revision=self.view.revision),
                )
            case _:
                assert_never(self.phase)

    def _put_aside(self, message: Arrival | Drop) -> None:
        self._aside.append(message)
        if isinstance(message, Arrival):
            self._aside_bytes += len(bytes(message.put.record))
        if len(self._aside) > MOST_LISTED or self._aside_bytes > _MOST_LISTED_BYTES:
            raise PeerProtocolError("the peer's list is longer than any that is taken")

    def _sync(self, synced: Synced) -> Effect:
        if self.phase is not Phase.WATCHING:
            raise PeerProtocolError("the peer says that a list has ended where none was asked for")
        if synced.complete:
            self.view.replace(self._whole_list(synced), synced=synced)
        elif synced.epoch != self.view.epoch or not self.view.epoch:
            raise PeerProtocolError("the peer resumes an epoch that it was not asked for")
        else:
            for message in self._aside:
                self.view.change(message)
            self.view.revision = synced.revision
        self._aside.clear()
        self.phase = Phase.SYNCED
        return Effect(synced=True, reply=Ack(revision=self.view.revision))

    def _whole_list(self, synced: Synced) -> list[Arrival]:
        """What was put aside, if it is the list that the peer meant to send."""
        digest = ListDigest()
        puts = [message for message in self._aside if isinstance(message, Arrival)]
        for arrival in puts:
            digest.add(bytes(arrival.put.record))
        if len(puts) != len(self._aside) or (digest.count, digest.text()) != (synced.count, synced.hash):
            raise PeerProtocolError("the peer's list is not the one that its count and hash speak of")
        return puts


def check_hello(theirs: Hello, *, cluster: str, ours: Hello, pinned: str) -> None:
    """Raises PeerProtocolError unless `theirs` comes from `cluster`, as its certificate has it.

    IdentityUsedTwice when it is not the cluster that was pinned.
    """
    if theirs.version != PROTOCOL_VERSION:
        raise PeerProtocolError(
            f"the peer speaks version {theirs.version} of the stream, we speak {PROTOCOL_VERSION}"
        )
    if theirs.cluster != cluster:
        raise PeerProtocolError(f"the peer says that it is {theirs.cluster[:63]!r}, but it is {cluster}")
    if theirs.kube_system_uid and theirs.kube_system_uid == ours.kube_system_uid:
        raise PeerProtocolError(f"{cluster} is this very cluster under another name")
    check_identity(cluster, pinned=pinned, uid=theirs.kube_system_uid, ours=ours.cluster)
