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

from mesh_core.peer_log import Key, ListDigest
from mesh_core.peer_view import MOST_LISTED, PeerView
from mesh_core.peer_wire import (
    PROTOCOL_VERSION,
    Ack,
    Bye,
    Drop,
    Heartbeat,
    Hello,
    Message,
    PeerProtocolError,
    Put,
    Synced,
    Watch,
)

_MOST_LISTED_BYTES: Final = 64 << 20


class PeerLeft(PeerProtocolError):
    """The other end said why it closes."""


class Phase(Enum):
    """How far a session is."""

    GREETING = "greeting"
    WATCHING = "watching"
    SYNCED = "synced"


@dataclass(frozen=True, slots=True)
class Effect:
    """What a message leads to: what to send, whether all may have changed, or which Service did."""

    reply: Message | None = None
    synced: bool = False
    changed: Key | None = None


class PeerSession:
    """One stream that feeds `view`; `hello` is what we say of ourselves."""

    def __init__(self, view: PeerView, *, hello: Hello) -> None:
        self.view = view
        self.hello = hello
        self.phase = Phase.GREETING
        self.peer: Hello | None = None
        self._aside: list[Put | Drop] = []
        self._aside_bytes = 0

    def take(self, message: Message) -> Effect:
        """One message of the peer; raises PeerProtocolError when the stream has to be closed."""
        match message:
            case Hello():
                return self._greet(message)
            case Put() | Drop():
                return self._change(message)
            case Synced():
                return self._sync(message)
            case Heartbeat():
                return Effect(reply=Ack(revision=self.view.revision))
            case Bye():
                raise PeerLeft(f"the peer closed the stream: {message.reason[:300]!r}")
            case Watch() | Ack():
                raise PeerProtocolError("the peer speaks like a client on a stream that we opened")
            case _:
                assert_never(message)

    def _greet(self, theirs: Hello) -> Effect:
        if self.phase is not Phase.GREETING:
            raise PeerProtocolError("the peer greets twice")
        check_hello(theirs, cluster=self.view.cluster, ours=self.hello)
        self.peer = theirs
        self.phase = Phase.WATCHING
        return Effect(reply=Watch(epoch=self.view.epoch, revision=self.view.revision))

    def _change(self, message: Put | Drop) -> Effect:
        match self.phase:
            case Phase.GREETING:
                raise PeerProtocolError("the peer sends records before its hello")
            case Phase.WATCHING:
                self._put_aside(message)
                # Not taken in yet, but heard: a long list over a thin line is not silence.
                return Effect(reply=Ack(revision=self.view.revision))
            case Phase.SYNCED:
                if message.revision <= self.view.revision:
                    raise PeerProtocolError("the peer's revisions do not grow")
                return Effect(
                    changed=self.view.change(message),
                    reply=Ack(revision=self.view.revision),
                )
            case _:
                assert_never(self.phase)

    def _put_aside(self, message: Put | Drop) -> None:
        self._aside.append(message)
        if isinstance(message, Put):
            self._aside_bytes += len(bytes(message.record))
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

    def _whole_list(self, synced: Synced) -> list[Put]:
        """What was put aside, if it is the list that the peer meant to send."""
        digest = ListDigest()
        puts = [message for message in self._aside if isinstance(message, Put)]
        for put in puts:
            digest.add(bytes(put.record))
        if len(puts) != len(self._aside) or (digest.count, digest.text()) != (synced.count, synced.hash):
            raise PeerProtocolError("the peer's list is not the one that its count and hash speak of")
        return puts


def check_hello(theirs: Hello, *, cluster: str, ours: Hello) -> None:
    """Raises PeerProtocolError unless `theirs` comes from `cluster`, as its certificate has it."""
    if theirs.version != PROTOCOL_VERSION:
        raise PeerProtocolError(
            f"the peer speaks version {theirs.version} of the stream, we speak {PROTOCOL_VERSION}"
        )
    if theirs.cluster != cluster:
        raise PeerProtocolError(f"the peer says that it is {theirs.cluster[:63]!r}, but it is {cluster}")
    if theirs.kube_system_uid and theirs.kube_system_uid == ours.kube_system_uid:
        raise PeerProtocolError(f"{cluster} is this very cluster under another name")
