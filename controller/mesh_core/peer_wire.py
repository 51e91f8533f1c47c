"""The bytes of the controllers' stream: frames, and the messages in them (docs/wire.md).

A frame is a length of four bytes, big-endian, and so many bytes of JSON: one object whose `type` says
which message it is.

1. A frame is at most `LONGEST_FRAME` bytes; the length is judged before anything is stored.
2. A message of a type that is not known is skipped, and so is a field: that is how the protocol grows.
   A message of a known type that does not read as one ends the stream.
3. Records are handed on as the bytes they came in; `mesh_core.admission` judges them one by one.
"""

import struct
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from mesh_core.errors import Fault, MeshError
from mesh_core.objects.trust import Signed

LONGEST_FRAME: Final = 1 << 20
PROTOCOL_VERSION: Final = 1
FEATURE_SHARDS: Final = "shards"
"""In `Hello.features`: takes shards of endpoints; who does not say so is sent records only."""
FEATURE_SIGNATURES: Final = "signatures"
"""In `Hello.features`: signs every record; a record of such a peer that is not signed is refused."""
_LENGTH: Final = struct.Struct(">I")
LONGEST_REASON: Final = 1000
MOST_PEERS: Final = 1024
"""Cluster ids in one `Mesh`."""


Revision = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Count = Annotated[int, Meta(ge=0, lt=1 << 31)]
ShortText = Annotated[str, Meta(max_length=253)]
Certificate = Annotated[str, Meta(max_length=8192)]


class PeerProtocolError(MeshError):
    """The other end does not keep to the protocol; the stream is closed."""

    fault = Fault.PEER

    def __init__(self, what: str) -> None:
        super().__init__(what, next_step="compare the versions of clusterset-mesh in both clusters")


class _Message(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="type"):
    pass


class Hello(_Message, frozen=True, tag="hello"):
    """The first message each way: who speaks, and what it can.

    `kube_system_uid` is the UID of the namespace kube-system, which tells a copied cluster from the
    first one; `network` is the network that the cluster shares with others, "" for one of its own, and None
    from who does not say it. `dial` is `spec.dial` of the speaker's MeshPeer for the listener, "" while it
    has none, None from who does not say. `trust_generation` and `trust_revision` are the numbers of the
    signed texts that the speaker has; `trust_root` is that of `TrustReport`.
    """

    version: Count
    cluster: ShortText
    kube_system_uid: ShortText = ""
    trust_generation: Revision = 0
    trust_revision: Revision = 0
    trust_root: ShortText = ""
    network: ShortText | None = None
    dial: ShortText | None = None
    features: Annotated[tuple[ShortText, ...], Meta(max_length=64)] = ()


class Mesh(_Message, frozen=True, tag="mesh"):
    """Server: the clusters that it is linked with; after its hello, and when they change."""

    peers: Annotated[tuple[ShortText, ...], Meta(max_length=MOST_PEERS)]


class Watch(_Message, frozen=True, tag="watch"):
    """Client: begin, after this position; epoch "" or revision 0 asks for the complete list."""

    epoch: ShortText
    revision: Revision


class Signer(_Message, frozen=True, tag="signer"):
    """Server: whose key has made the signatures that follow; PEM, the leaf first.

    Before the first put, and again when the server has another leaf.
    """

    chain: Annotated[tuple[Certificate, ...], Meta(min_length=1, max_length=4)]


class Put(_Message, frozen=True, tag="put", omit_defaults=True):
    """Server: this record, or this shard, is new or has changed; a shard is what has a field `shard`.

    `signature` is that of the record as sent (`mesh_core.record_signature`), "" from who does not sign.
    """

    revision: Revision
    record: msgspec.Raw
    signature: ShortText = ""


class Drop(_Message, frozen=True, tag="drop", omit_defaults=True):
    """Server: this Service is exported no more, or, with `shard`, has that shard no more."""

    revision: Revision
    namespace: ShortText
    name: ShortText
    shard: ShortText = ""


class Synced(_Message, frozen=True, tag="synced"):
    """Server: what came since `watch` brings the client to this position.

    After a complete list `count` and `hash` are those of the list (`ListDigest`) and `complete` is True;
    after a resumption they say nothing.
    """

    epoch: ShortText
    revision: Revision
    complete: bool
    count: Count = 0
    hash: ShortText = ""


class Trust(_Message, frozen=True, tag="trust", omit_defaults=True):
    """Either end: a signed text that is newer than what the other one has said that it goes by."""

    statement: Signed | None = None
    revocations: Signed | None = None


class TrustReport(_Message, frozen=True, tag="trustReport"):
    """Server: what all of its cluster goes by, when that is something else than its hello said.

    Numbers of the statement and of the revocations, 0 where nobody has signed any; `root` is the KeyId of
    the root that its own certificates hang on, "" when that is not known.
    """

    generation: Revision
    revision: Revision = 0
    root: ShortText = ""


class Heartbeat(_Message, frozen=True, tag="heartbeat", omit_defaults=True):
    """Server: still here.

    `unseen`: for so many seconds it has not heard its own API server; 0 while it hears it. What it told is
    as old, and it cannot know better.
    """

    unseen: Count = 0


class Ack(_Message, frozen=True, tag="ack"):
    """Client: still here, and everything up to `revision` is taken in."""

    revision: Revision


class Bye(_Message, frozen=True, tag="bye", omit_defaults=True):
    """Either end, before it closes: why.

    `left` is when the speaker left the clusterset (RFC 3339); "" from who has not.
    """

    reason: Annotated[str, Meta(max_length=LONGEST_REASON)]
    left: ShortText = ""


Message = Hello | Mesh | Watch | Signer | Put | Drop | Synced | Trust | TrustReport | Heartbeat | Ack | Bye


class _Envelope(msgspec.Struct):
    type: str


_KNOWN: Final = frozenset(
    {
        "hello",
        "mesh",
        "watch",
        "signer",
        "put",
        "drop",
        "synced",
        "trust",
        "trustReport",
        "heartbeat",
        "ack",
        "bye",
    }
)
_messages: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)
_envelopes: Final = msgspec.json.Decoder(_Envelope)
_encoder: Final = msgspec.json.Encoder()
_canonical: Final = msgspec.json.Encoder(order="sorted")


def frame(message: Message) -> bytes:
    """The bytes of `message`; raises PeerProtocolError when they would be more than the other end takes."""
    body = _encoder.encode(message)
    if len(body) > LONGEST_FRAME:
        raise PeerProtocolError(f"a message of {len(body)} bytes does not fit in a frame")
    return _LENGTH.pack(len(body)) + body


def record_bytes(record: msgspec.Struct) -> msgspec.Raw:
    """A record or shard as `Put` carries it: canonical, so that one value has one spelling.

    Fields in the order of their names, no spaces, and none that has its default.
    """
    return msgspec.Raw(_canonical.encode(record))


def farewell(reason: str) -> Bye:
    """A Bye with as much of `reason` as may be sent."""
    return Bye(reason=reason[:LONGEST_REASON])


def read_message(body: bytes) -> Message | None:
    """The message in a frame, None for a type that is not known; raises PeerProtocolError."""
    try:
        if _envelopes.decode(body).type not in _KNOWN:
            return None
        return _messages.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PeerProtocolError(f"a message does not read: {str(error)[:200]}") from error
    except RecursionError as error:
        raise PeerProtocolError("a message is nested too deeply") from error


class FrameReader:
    """Turns a stream of bytes into the messages in it. Keeps at most one unfinished frame."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes; raises PeerProtocolError, and is then of no more use."""
        self._rest += data
        messages: list[Message] = []
        start = 0
        while len(self._rest) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._rest, start)
            if not 0 < length <= LONGEST_FRAME:
                raise PeerProtocolError(f"a frame says that it has {length} bytes")
            end = start + _LENGTH.size + length
            if len(self._rest) < end:
                break
            message = read_message(bytes(self._rest[start + _LENGTH.size : end]))
            if message is not None:
                messages.append(message)
            start = end
        del self._rest[:start]
        return messages
