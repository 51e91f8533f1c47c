"""What a stream in a tunnel begins with: one message each way (docs/wire.md, "A tunnel").

    caller    two bytes, big-endian: the length of what follows, 1 to 4,096; then one JSON object: Opening
    callee    the same: Answer

1. The caller's payload follows its message at once, without waiting for the answer.
2. An answer with a `reason` is a refusal, and a promise that no byte of the stream reached anybody.
3. Unknown fields are skipped: that is how the messages grow.
4. Text is bounded; a message beyond the bounds ends the tunnel's trust in this stream, not the tunnel.
"""

from enum import Enum
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Struct

LONGEST_MESSAGE = 4096
PROBES = "probe"
"""Feature of who knows an opening's `probe`."""
VERSION = 1

Carried = Literal["TCP", "UDP"]

_Label = Annotated[str, msgspec.Meta(max_length=63)]
_Name = Annotated[str, msgspec.Meta(max_length=253)]
_Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]

M = TypeVar("M")


class Reason(Enum):
    """Why a stream is refused: a closed list, for metrics, logs and the far side. Nothing was delivered."""

    NOT_EXPORTED = "NotExported"
    NOT_ALLOWED = "NotAllowed"
    NO_ENDPOINT = "NoEndpoint"
    ENDPOINT_FAILED = "EndpointFailed"
    EXTERNAL_ADDRESS = "ExternalAddressNotAllowed"
    OVERLOAD = "Overload"
    SOURCE_UNKNOWN = "SourceUnknown"
    STOPPING = "Stopping"
    BAD_OPENING = "BadOpening"
    UNSUPPORTED = "Unsupported"
    UNREACHABLE = "Unreachable"


class Source(Struct, frozen=True, omit_defaults=True):
    """Whom the caller's gateway vouches for; "" is not known. `node`: a node or a pod on its network."""

    address: _Name = ""
    port: _Port = 0
    namespace: _Label = ""
    account: _Name = ""
    pod: _Name = ""
    node: bool = False


class TunnelHello(Struct, frozen=True, omit_defaults=True):
    """Who is at one end of a tunnel: `replica` tells gateways of one cluster apart, `siblings` are all of
    them that are alive, this one included; `features` are what the sender understands beyond version 1."""

    version: Annotated[int, msgspec.Meta(ge=1, le=1000)] = VERSION
    cluster: _Label = ""
    replica: _Name = ""
    siblings: Annotated[tuple[_Name, ...], msgspec.Meta(max_length=256)] = ()
    features: Annotated[tuple[_Label, ...], msgspec.Meta(max_length=64)] = ()


class Opening(Struct, frozen=True, omit_defaults=True):
    """What is asked for: a port of a service, or a `reserved` target, or, with `hello`, the tunnel's own
    conversation, which is the first stream of the side that dialled.

    `id` is 16 hexadecimal digits and stands in the logs of both ends. `component` is who asks for a
    reserved target. A `probe` is asked only to see whether a stream would be accepted: the port may be 0
    then, the service's first.
    """

    id: Annotated[str, msgspec.Meta(max_length=32)] = ""
    namespace: _Label = ""
    service: _Label = ""
    port: _Port = 0
    endpoint: _Name = ""
    protocol: Carried = "TCP"
    reserved: _Label = ""
    component: _Label = ""
    probe: bool = False
    source: Source | None = None
    hello: TunnelHello | None = None


class Answer(Struct, frozen=True, omit_defaults=True):
    """Without `reason`, which is a `Reason` or a word of a later version: accepted. `why` is a sentence for
    people."""

    reason: Annotated[str, msgspec.Meta(max_length=64)] = ""
    why: Annotated[str, msgspec.Meta(max_length=512)] = ""
    hello: TunnelHello | None = None


class BadMessage(ValueError):
    """A message that does not read."""


ACCEPTED = b"\x00\x02{}"
"""The answer that accepts, as it is sent."""

_encoder = msgspec.json.Encoder()
_openings = msgspec.json.Decoder(Opening)
_answers = msgspec.json.Decoder(Answer)
_hellos = msgspec.json.Decoder(TunnelHello)


def write_message(message: Opening | Answer | TunnelHello) -> bytes:
    """A message as it is sent. Raises BadMessage for one that is too long."""
    body = _encoder.encode(message)
    if len(body) > LONGEST_MESSAGE:
        raise BadMessage(f"a message of {len(body)} bytes")
    return len(body).to_bytes(2, "big") + body


def message_length(head: bytes | bytearray | memoryview) -> int | None:
    """Length of the whole message that begins so, its two bytes included; None while these are not there.

    Raises BadMessage.
    """
    if len(head) < 2:
        return None
    length = head[0] << 8 | head[1]
    if not 1 <= length <= LONGEST_MESSAGE:
        raise BadMessage(f"a message of {length} bytes")
    return 2 + length


class MessageReader:
    """Takes a message out of bytes that come in pieces; `rest` is what came behind it."""

    __slots__ = ("_head", "rest")

    def __init__(self) -> None:
        self._head = bytearray()
        self.rest = b""

    def feed(self, data: bytes) -> bytes | None:
        """The message without its length once it is whole, and then no more. Raises BadMessage."""
        self._head += data
        length = message_length(self._head)
        if length is None or len(self._head) < length:
            return None
        self.rest = bytes(self._head[length:])
        return bytes(self._head[2:length])


def read_opening(body: bytes) -> Opening:
    """The opening in `body`, without its length. Raises BadMessage."""
    return _read(_openings, body)


def read_answer(body: bytes) -> Answer:
    """The answer in `body`. Raises BadMessage."""
    return _read(_answers, body)


def read_hello(body: bytes) -> TunnelHello:
    """The hello in `body`. Raises BadMessage."""
    return _read(_hellos, body)


def is_probe(opening: Opening) -> bool:
    """Whether it is only asked whether a service answers; a reserved target is not asked about so."""
    return opening.probe and not opening.reserved


def _read(decoder: msgspec.json.Decoder[M], body: bytes) -> M:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage("a message that does not read") from error
