"""The bytes of `meshctl-join/1`, by which a cluster without a certificate gets one (docs/wire.md).

A frame is a length of four bytes, big-endian, and so many bytes of JSON: one object whose `type` says which
message it is, as on the controllers' stream. The server says `offer`, the client `accept`, the server
`welcome` or `refused`; then it is over.

1. A frame of a client is at most `LONGEST_ACCEPT` bytes, one of a server at most `LONGEST_ANSWER`; the length
   is judged before anything is stored.
2. A field that is not known is skipped. Every other thing that is not as written here ends the connection.
3. A proof is over all that the client says, as the bytes in which it says it, and over the server's
   challenge: it is good for one connection. What it is over is read only after it was found right.
"""

import hmac
import struct
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from mesh_core.errors import Fault, MeshError
from mesh_core.objects import PeerGateway
from mesh_core.objects.trust import Pem, Signed

VERSION: Final = 1
LONGEST_ACCEPT: Final = 16 << 10
LONGEST_ANSWER: Final = 2 << 20
"""Room for a statement and revocations as long as they may be, whatever JSON makes of their quotes."""
CHALLENGE_SIZE: Final = 32
_LENGTH: Final = struct.Struct(">I")
_CONTEXT: Final = b"meshctl-join/1\0"

Short = Annotated[str, Meta(max_length=253)]
Words = Annotated[str, Meta(max_length=1000)]
Gateways = Annotated[tuple[PeerGateway, ...], Meta(max_length=16)]
Ranges = Annotated[tuple[Short, ...], Meta(max_length=64)]


class JoinCode(StrEnum):
    """Why a cluster is not let in; reasons of the condition `Joined` too."""

    INVITATION_UNKNOWN = "InvitationUnknown"
    INVITATION_EXPIRED = "InvitationExpired"
    INVITATION_USED = "InvitationUsed"
    INVITATION_REVOKED = "InvitationRevoked"
    WRONG_CLUSTERSET = "WrongClusterset"
    CLUSTER_ID_TAKEN = "ClusterIdTaken"
    CLUSTER_ID_NOT_ALLOWED = "ClusterIdNotAllowed"
    CLOCK_SKEW = "ClockSkew"
    BAD_REQUEST = "BadRequest"
    NOT_NOW = "NotNow"
    # Never sent: what the newcomer itself finds.
    BAD_TOKEN = "BadToken"
    WRONG_INVITER = "WrongInviter"
    """Somebody else than the inviter answers, or shows another root than the token names."""
    UNREACHABLE = "Unreachable"

    @property
    def can_pass(self) -> bool:
        """Whether trying again later can help."""
        return self in (JoinCode.NOT_NOW, JoinCode.UNREACHABLE)


_FAULTS: Final = {
    JoinCode.WRONG_INVITER: Fault.PEER,
    JoinCode.NOT_NOW: Fault.PEER,
    JoinCode.CLOCK_SKEW: Fault.ENVIRONMENT,
    JoinCode.UNREACHABLE: Fault.ENVIRONMENT,
}


class JoinFailed(MeshError):
    """A cluster did not get in; `code` says why, in a word."""

    def __init__(self, code: JoinCode, what: str, *, next_step: str) -> None:
        super().__init__(what, next_step=next_step)
        self.code = code
        self.fault = _FAULTS.get(code, Fault.USER)


class BadJoinMessage(MeshError):
    """The other end does not keep to the protocol; the connection is closed."""

    fault = Fault.PEER

    def __init__(self, what: str) -> None:
        super().__init__(what, next_step="compare the versions of clusterset-mesh in both clusters")


class _Message(Struct, frozen=True, rename="camel", kw_only=True, tag_field="type", omit_defaults=True):
    pass


class Offered(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """The texts of the clusterset in force, as they were signed."""

    statement: Signed
    revocations: Signed | None = None


class Offer(_Message, frozen=True, tag="offer"):
    """Server: who it is, what everybody here goes by, and what is to be answered. `challenge` is base64."""

    version: Annotated[int, Meta(ge=0, lt=1 << 31)]
    domain: Short
    cluster: Short
    pool: Short
    challenge: Annotated[bytes, Meta(max_length=64)]
    trust: Offered


class Request(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Who wants to be which member.

    `uid` is that of its namespace kube-system, `csr` a PKCS #10 request in PEM for the key of its
    intermediate, `clock` its time (RFC 3339), `gateways` where it can be dialled (none: only it dials),
    `network` and `pod_cidrs` where its pods are, as in a MeshPeer.
    """

    domain: Short
    cluster: Short
    uid: Short
    csr: Pem
    clock: Short
    gateways: Gateways = ()
    network: Short = ""
    pod_cidrs: Ranges = msgspec.field(default=(), name="podCIDRs")


class Accept(_Message, frozen=True, tag="accept"):
    """Client: a `Request` as JSON, and the proof (base64) that whoever says so holds the token."""

    invitation: Short
    request: Annotated[str, Meta(max_length=LONGEST_ACCEPT)]
    proof: Annotated[bytes, Meta(max_length=64)]


class Welcome(_Message, frozen=True, tag="welcome"):
    """Server: the newcomer's intermediate, the issuer's certificate behind it (PEM), the texts in force, and
    where the server's own cluster is."""

    certificates: Annotated[tuple[Pem, ...], Meta(min_length=1, max_length=4)]
    trust: Offered
    cluster: Short
    gateways: Gateways = ()
    network: Short = ""
    pod_cidrs: Annotated[tuple[Short, ...], Meta(max_length=1024)] = msgspec.field(
        default=(), name="podCIDRs"
    )


class Refused(_Message, frozen=True, tag="refused"):
    """Server: why not, in words, and what to do about it."""

    code: JoinCode
    words: Words
    step: Words = ""


Message = Offer | Accept | Welcome | Refused

_decoder: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)
_encoder: Final = msgspec.json.Encoder()


def frame(message: Message) -> bytes:
    """The bytes of `message`."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


def length_in(head: bytes, *, most: int) -> int:
    """What the four bytes of `head` say; raises BadJoinMessage for no length, and for more than `most`."""
    (length,) = _LENGTH.unpack(head)
    if not 0 < length <= most:
        raise BadJoinMessage(f"a frame says that it has {length} bytes")
    return int(length)


def read_message(body: bytes) -> Message:
    """The message in a frame; raises BadJoinMessage."""
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadJoinMessage(f"a message does not read: {str(error)[:200]}") from error


def read_request(accept: Accept) -> Request:
    """What a client says, which has proved that it may; raises BadJoinMessage."""
    try:
        return msgspec.json.decode(accept.request, type=Request)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadJoinMessage(f"a request does not read: {str(error)[:200]}") from error


def accept_of(request: Request, *, invitation: str, key: bytes, challenge: bytes) -> Accept:
    """`request` with its proof; `key` is `invitation_token.key_of`."""
    text = _encoder.encode(request).decode()
    bare = Accept(invitation=invitation, request=text, proof=b"")
    return replace(bare, proof=proof_of(bare, key=key, challenge=challenge))


def proof_of(accept: Accept, *, key: bytes, challenge: bytes) -> bytes:
    """HMAC-SHA256 of what kind of proof it is, challenge, invitation's id, a zero byte, and the request."""
    said = accept.invitation.encode() + b"\0" + accept.request.encode()
    return hmac.digest(key, _CONTEXT + challenge + said, "sha256")
