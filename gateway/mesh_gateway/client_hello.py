"""Reads a TLS ClientHello from raw bytes, before anybody decides how to answer.

The gateway tells by the server name and the application protocols of the first message what a
connection wants, and only then chooses a TLS context, or passes the bytes through untouched.

1. Never more than `MAX_HELLO_BYTES` are kept, and each byte is looked at a bounded number of times,
   however the sender cuts its records and segments.
2. What is not a ClientHello is refused at the first byte that shows it.
3. Nothing is decrypted, verified or answered here; unknown cipher suites, extensions and GREASE values
   (RFC 8701) are passed over. So is an encrypted ClientHello (extension 0xfe0d): the name that counts is the
   outer one, which is all that is to be seen.

RFC 8446 sections 4.1.2, 4.2 and 5.1; RFC 6066 section 3 (server name); RFC 7301 (ALPN).
"""

import re
from dataclasses import dataclass

MAX_HELLO_BYTES = 16 * 1024
"""Most bytes from the start of the connection to the end of the ClientHello, record headers included.

A hello with a certificate's worth of key shares of the largest post-quantum groups has 2 to 5 KiB.
"""

TLS13 = 0x0304

_RECORD_HEADER = 5
_MESSAGE_HEADER = 4
_HANDSHAKE_RECORD = 22
_CLIENT_HELLO = 1
_LARGEST_RECORD = 1 << 14
_SERVER_NAME = 0
_ALPN = 16
_SUPPORTED_VERSIONS = 43
_HOST = re.compile(rb"[!-~]+")
"""Printable ASCII: what a name means is the table's affair, but no other byte gets as far as that."""


@dataclass(frozen=True, slots=True)
class NeedMore:
    """So far so good; the message goes on."""


@dataclass(frozen=True, slots=True)
class Hello:
    """A whole ClientHello.

    `server_name` is as sent, in ASCII, or None; `protocols` the ALPN names in the sender's order;
    `versions` the values of supported_versions, GREASE included, empty before TLS 1.3.
    """

    server_name: str | None
    protocols: tuple[bytes, ...]
    versions: tuple[int, ...]

    @property
    def offers_tls13(self) -> bool:
        """Whether the sender can speak TLS 1.3."""
        return TLS13 in self.versions


@dataclass(frozen=True, slots=True)
class Refused:
    """Not a ClientHello that we read; `reason` is for the log, never for the sender."""

    reason: str


Reading = NeedMore | Hello | Refused


class ClientHelloReader:
    """Takes the bytes of one connection as they come. After a Hello or Refused it is done with."""

    __slots__ = ("_message", "_pending", "_seen")

    def __init__(self) -> None:
        self._pending = bytearray()  # the record that is not whole yet
        self._message = bytearray()  # what the whole records carried
        self._seen = 0

    def feed(self, data: bytes) -> Reading:
        """Takes the next bytes. What follows the ClientHello's record is left for the TLS layer."""
        # A segment may carry more than the hello, which is not ours to keep.
        self._pending += data[: MAX_HELLO_BYTES - self._seen]
        self._seen += len(data)
        try:
            return self._advance()
        except _Malformed as error:
            return Refused(str(error))

    def _advance(self) -> Reading:
        while (fragment := self._next_fragment()) is not None:
            self._message += fragment
            body = self._whole_body()
            if body is not None:
                return _read_hello(body)
        if self._seen >= MAX_HELLO_BYTES:
            raise _Malformed("a ClientHello longer than is read")
        return NeedMore()

    def _next_fragment(self) -> bytes | None:
        """Takes one whole record off the pending bytes; None while there is none."""
        pending = self._pending
        _check_record_start(pending)
        if len(pending) < _RECORD_HEADER:
            return None
        length = int.from_bytes(pending[3:5], "big")
        if not 0 < length <= _LARGEST_RECORD:
            raise _Malformed("a record of a forbidden length")
        if len(pending) < _RECORD_HEADER + length:
            return None
        fragment = bytes(pending[_RECORD_HEADER : _RECORD_HEADER + length])
        del pending[: _RECORD_HEADER + length]
        return fragment

    def _whole_body(self) -> bytes | None:
        message = self._message
        if message[0] != _CLIENT_HELLO:
            raise _Malformed("a handshake that does not begin with a ClientHello")
        if len(message) < _MESSAGE_HEADER:
            return None
        length = int.from_bytes(message[1:4], "big")
        if length > MAX_HELLO_BYTES:
            raise _Malformed("a ClientHello longer than is read")
        if len(message) < _MESSAGE_HEADER + length:
            return None
        if len(message) > _MESSAGE_HEADER + length:
            # RFC 8446 section 5.1: nothing may share the record before a change of keys.
            raise _Malformed("bytes behind the ClientHello in its record")
        return bytes(message[_MESSAGE_HEADER:])


class _Malformed(Exception):
    """These bytes are no ClientHello; never leaves this file."""


def _check_record_start(pending: bytearray) -> None:
    if pending and pending[0] != _HANDSHAKE_RECORD:
        raise _Malformed("not a TLS handshake")
    if len(pending) > 1 and pending[1] != 3:
        raise _Malformed("not a version of TLS")


class _Fields:
    """Reads the length-prefixed vectors of the TLS presentation language (RFC 8446 section 3)."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        if len(piece) < size:
            raise _Malformed("a field that ends too early")
        self._at += size
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, prefix: int) -> "_Fields":
        return _Fields(self.take(self.number(prefix)))

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def end(self) -> None:
        if self:
            raise _Malformed("bytes behind the last field")


def _read_hello(body: bytes) -> Hello:
    fields = _Fields(body)
    fields.take(2 + 32)  # legacy_version and random
    if len(fields.vector(1).rest()) > 32:
        raise _Malformed("a session id longer than 32 bytes")
    suites = fields.vector(2).rest()
    if not suites or len(suites) % 2:
        raise _Malformed("no list of cipher suites")
    if not fields.vector(1):
        raise _Malformed("no list of compression methods")
    extensions = _extensions(fields)
    return Hello(
        server_name=_server_name(extensions.get(_SERVER_NAME)),
        protocols=_protocols(extensions.get(_ALPN)),
        versions=_versions(extensions.get(_SUPPORTED_VERSIONS)),
    )


def _extensions(fields: _Fields) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    if not fields:
        return found  # TLS 1.2 allows a hello without any
    block = fields.vector(2)
    fields.end()
    while block:
        kind = block.number(2)
        if kind in found:
            raise _Malformed("an extension twice")
        found[kind] = block.vector(2).rest()
    return found


def _server_name(extension: bytes | None) -> str | None:
    if extension is None:
        return None
    fields = _Fields(extension)
    names = fields.vector(2)
    fields.end()
    kind = names.number(1)
    name = names.vector(2).rest()
    names.end()  # RFC 6066: one name of a type, and there is only one type
    # A NUL or a line feed inside has made others see one name and believe another (CVE-2025-66220).
    if kind != 0 or not _HOST.fullmatch(name):
        raise _Malformed("a server name that is no host name")
    return name.decode("ascii")


def _protocols(extension: bytes | None) -> tuple[bytes, ...]:
    if extension is None:
        return ()
    fields = _Fields(extension)
    names = fields.vector(2)
    fields.end()
    found: list[bytes] = []
    while names:
        found.append(names.vector(1).rest())
    if not all(found) or not found:
        raise _Malformed("an empty name of an application protocol")
    return tuple(found)


def _versions(extension: bytes | None) -> tuple[int, ...]:
    if extension is None:
        return ()
    fields = _Fields(extension)
    versions = fields.vector(1)
    fields.end()
    found: list[int] = []
    while versions:
        found.append(versions.number(2))
    return tuple(found)
