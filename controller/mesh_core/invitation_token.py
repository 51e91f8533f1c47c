"""The token of an invitation: all that somebody needs who has no certificate yet, as one short word.

    meshctl1.<base64url without padding of the fields and their CRC-32>

    byte         how many gateways, 1 to 3, then for each: byte length, host in ASCII, two bytes port
    byte length  cluster id of the inviter
    byte length  domain of the clusterset
    byte length  pool of the issuer; 0 for `by-<cluster id of the inviter>`
    32 bytes     KeyId of the root
    byte length  generation of the statement then in force, big-endian without zeros before
    byte length  number of the revocations then in force, likewise; 0 bytes for none
    5 bytes      when the invitation ends: seconds since 1970
    8 bytes      invitation id
    16 bytes     the secret

1. A token is read whole or not at all. Every change of one character is found: CRC-32 sees any error within
   32 bits, the first part is compared, and no second spelling of the same bytes is taken.
2. The KeyId is whole: it alone says whom the newcomer will trust for years, and 16 bytes saved are 22
   characters of some 130.
3. Nobody shows the newcomer older texts than were in force when it was invited: in them a key may still be
   good that was refused since.
4. The secret shows in no repr, and is never sent: `key_of` makes of it what both sides know.
"""

import base64
import binascii
import hashlib
import struct
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from mesh_core.errors import UserError
from mesh_core.identity import ClusterId, Domain, InvalidName, cluster_id, domain
from mesh_core.objects import PeerGateway
from mesh_core.objects.trust import KeyId

VERSION: Final = "meshctl1"
MOST_GATEWAYS: Final = 3
ID_SIZE: Final = 8
SECRET_SIZE: Final = 16
_KEY_SIZE: Final = 32
_TIME_SIZE: Final = 5
_NUMBER_SIZE: Final = 7
_CHECK: Final = struct.Struct(">I")
_PORT: Final = struct.Struct(">H")


class BadToken(UserError):
    """What was given as a token is none."""

    def __init__(self, what: str) -> None:
        super().__init__(what, next_step="copy the token once more, whole, as meshctl invite printed it")


class _Short(ValueError):
    """The bytes end before the field does."""


@dataclass(frozen=True, slots=True)
class Token:
    """An invitation as its holder knows it; `id` and `root` in hexadecimal, `expires` in whole seconds.

    `generation` and `revision` are those of the oldest statement and revocations that may be shown for it.
    """

    gateways: tuple[PeerGateway, ...]
    cluster: ClusterId
    domain: Domain
    root: KeyId
    id: str
    secret: bytes = field(repr=False)
    expires: datetime
    pool: str
    generation: int = 0
    revision: int = 0

    def __str__(self) -> str:
        return f"invitation {self.id} of {self.cluster} to {self.domain}"


def default_pool(inviter: str) -> str:
    """The pool of the issuer that cluster `inviter` holds, where nobody said another."""
    return f"by-{inviter}"


def key_of(secret: bytes, *, invitation: str) -> bytes:
    """The key (32 bytes) by which a token's holder proves that he is that; it does not give the secret."""
    return hashlib.sha256(b"meshctl-invitation/1\0" + invitation.encode() + b"\0" + secret).digest()


def write_token(token: Token) -> str:
    """The token as text; raises BadToken when a field cannot be said in one."""
    if not 1 <= len(token.gateways) <= MOST_GATEWAYS:
        raise BadToken(f"a token names one to {MOST_GATEWAYS} gateways, not {len(token.gateways)}")
    pool = "" if token.pool == default_pool(token.cluster) else token.pool
    fields = [bytes([len(token.gateways)])]
    for gateway in token.gateways:
        fields += [_text(gateway.host), _PORT.pack(gateway.port)]
    fields += [_text(token.cluster), _text(token.domain), _text(pool), bytes.fromhex(token.root)]
    fields += [_number(token.generation), _number(token.revision)]
    fields += [int(token.expires.timestamp()).to_bytes(_TIME_SIZE), bytes.fromhex(token.id), token.secret]
    body = b"".join(fields)
    return f"{VERSION}.{_encoded(body + _CHECK.pack(zlib.crc32(body)))}"


def read_token(text: str) -> Token:
    """The token in `text`, in which spaces and line breaks count for nothing; raises BadToken."""
    version, dot, encoded = "".join(text.split()).partition(".")
    if not dot or not version.startswith("meshctl"):
        raise BadToken("this is no token of an invitation")
    if version != VERSION:
        raise BadToken(f"the token begins with {version[:20]!r}, and this version reads only {VERSION}")
    content = _decoded(encoded)
    body, check = content[: -_CHECK.size], content[-_CHECK.size :]
    if check != _CHECK.pack(zlib.crc32(body)):
        raise BadToken("the token has a wrong or missing character")
    try:
        return _fields(body)
    except (_Short, UnicodeDecodeError, InvalidName, OverflowError, OSError, ValueError) as error:
        raise BadToken("the token was made wrongly") from error


def _fields(body: bytes) -> Token:
    reader = _Reader(body)
    (count,) = reader.take(1)
    if not 1 <= count <= MOST_GATEWAYS:
        raise ValueError(count)
    gateways = tuple(_gateway(reader) for _ in range(count))
    cluster, named, pool = cluster_id(reader.text()), domain(reader.text()), reader.text()
    token = Token(
        gateways=gateways,
        cluster=cluster,
        domain=named,
        pool=cluster_id(pool) if pool else default_pool(cluster),
        root=reader.take(_KEY_SIZE).hex(),
        generation=reader.number(),
        revision=reader.number(),
        expires=datetime.fromtimestamp(int.from_bytes(reader.take(_TIME_SIZE)), UTC),
        id=reader.take(ID_SIZE).hex(),
        secret=reader.take(SECRET_SIZE),
    )
    if reader.rest:
        raise ValueError("bytes behind the last field")
    return token


def _gateway(reader: "_Reader") -> PeerGateway:
    host = reader.text()
    (port,) = _PORT.unpack(reader.take(_PORT.size))
    if not host or not port:
        raise ValueError("a gateway without an address")
    return PeerGateway(host=host, port=port)


class _Reader:
    """Takes fields off the front of bytes."""

    def __init__(self, content: bytes) -> None:
        self.rest = content

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if len(self.rest) < size:
            raise _Short
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def text(self) -> str:
        """The next text."""
        (size,) = self.take(1)
        return self.take(size).decode("ascii")

    def number(self) -> int:
        """The next number."""
        (size,) = self.take(1)
        content = self.take(size)
        if size > _NUMBER_SIZE or content[:1] == b"\0":
            raise ValueError("a number with zeros before it, or too long")
        return int.from_bytes(content)


def _text(text: str) -> bytes:
    content = text.encode("ascii")
    if len(content) > 255:
        raise BadToken(f"{text[:20]}... is too long for a token")
    return bytes([len(content)]) + content


def _number(number: int) -> bytes:
    content = number.to_bytes((number.bit_length() + 7) // 8)
    if len(content) > _NUMBER_SIZE:
        raise BadToken(f"the number {number} is too long for a token")
    return bytes([len(content)]) + content


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if _encoded(content) != text or len(content) <= _CHECK.size:
        raise BadToken("the token has a wrong or missing character")
    return content
