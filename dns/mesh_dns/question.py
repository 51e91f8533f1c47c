"""One query, read from bytes that anybody may have sent.

1. Every loop moves forward through at most `LONGEST_QUERY` bytes; no pointer is ever followed.
2. Whatever the bytes are, the result is a `Question`, a `Refusal` or None; nothing is raised.
3. None means silence: answering what is no query, or is itself an answer, would let two servers talk to
   each other for ever.

What the answer is, is `mesh_dns.answer`'s.
"""

import struct

import msgspec

from mesh_dns.cookie import COOKIE_OPTION, is_well_formed
from mesh_dns.wire import HEADER_BYTES, LONGEST_LABEL, LONGEST_NAME, Rcode, Type

LONGEST_QUERY = 4096
"""Bytes. A question fits in 12 + 255 + 4; the rest leaves room for options that we skip."""

# OPT and TSIG are the only records that a query for us can carry; a few more do no harm.
_MOST_ADDITIONAL = 4

_IS_RESPONSE = 0x80
_OPCODE = 0x78
_ONE_QUESTION_ONLY = b"\0\1\0\0\0\0"
_NOTHING_BUT_OPTIONS = b"\0\0\0\0\0\0"
_POINTER = 0xC0
_DNSSEC_OK = 0x8000


class Edns(msgspec.Struct, frozen=True, gc=False):
    """What a query's OPT record says (RFC 6891); `payload` in bytes, `cookie` the COOKIE option's content."""

    payload: int
    version: int
    dnssec_ok: bool
    cookie: bytes | None = None


class Question(msgspec.Struct, frozen=True, gc=False):
    """A well-formed query of one question, or one that asks for a cookie only: its name is empty, its type 0.
    A Struct, because one is made for every packet.

    `name` is the wire form in lower case, `starts` the offset of each label in it, and `end` is where the
    question section ends in the packet.
    """

    name: bytes
    starts: tuple[int, ...]
    type: int
    klass: int
    end: int
    edns: Edns | None

    def is_below(self, zone: bytes, *, labels: int) -> bool:
        """Whether the name is `zone` (wire form, with so many labels) or lies below it.

        The label boundary counts: the bytes of a zone may also stand inside one long label.
        """
        at = len(self.name) - len(zone)
        return len(self.starts) >= labels and self.starts[-labels] == at and self.name.endswith(zone)


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """A query that cannot be read further; the reply is a bare header."""

    rcode: Rcode


def read(packet: bytes) -> Question | Refusal | None:
    """The query in `packet`: one DNS message without the length that precedes it over TCP."""
    if not HEADER_BYTES <= len(packet) <= LONGEST_QUERY or packet[2] & _IS_RESPONSE:
        return None
    if packet[2] & _OPCODE:
        return Refusal(Rcode.NOTIMP)
    # RFC 9619: a query has one question at most. Nothing that we serve is asked with records beside it.
    try:
        if packet[4:10] == _ONE_QUESTION_ONLY:
            return _question(packet)
        return _cookie_request(packet)
    except (_Malformed, IndexError, struct.error):
        return Refusal(Rcode.FORMERR)


class _Malformed(Exception):
    """The message breaks RFC 1035 or RFC 6891."""


def _question(packet: bytes) -> Question:
    starts = []
    at = HEADER_BYTES
    while length := packet[at]:
        if length > LONGEST_LABEL or at >= HEADER_BYTES + LONGEST_NAME:
            raise _Malformed
        starts.append(at - HEADER_BYTES)
        at += 1 + length
    name = packet[HEADER_BYTES : at + 1]
    if len(name) > LONGEST_NAME:
        raise _Malformed
    type_, klass = struct.unpack_from("!HH", packet, at + 1)
    end = at + 5
    # Length bytes are below 64, where no letter is, so lower() leaves them alone.
    return Question(name.lower(), tuple(starts), type_, klass, end, _edns(packet, end))


def _cookie_request(packet: bytes) -> Question:
    """A query without a question, for who wants nothing but a cookie (RFC 7873 section 5.4)."""
    if packet[4:10] != _NOTHING_BUT_OPTIONS:
        raise _Malformed
    edns = _edns(packet, HEADER_BYTES)
    if edns is None or edns.cookie is None:
        raise _Malformed
    return Question(b"", (), 0, 0, HEADER_BYTES, edns)


def _edns(packet: bytes, at: int) -> Edns | None:
    """The OPT record in the additional section from `at` on, which must end the message."""
    count = packet[10] << 8 | packet[11]
    if count > _MOST_ADDITIONAL:
        raise _Malformed
    found = None
    for _ in range(count):
        owner = at
        at = _after_name(packet, at)
        type_, payload, _rcode, version, flags, length = struct.unpack_from("!HHBBHH", packet, at)
        at += 10 + length
        if type_ != Type.OPT:
            continue
        if found is not None or packet[owner] != 0 or at > len(packet):
            raise _Malformed
        cookie = _cookie(packet, at - length, at)
        found = Edns(payload, version, bool(flags & _DNSSEC_OK), cookie)
    if at != len(packet):
        raise _Malformed
    return found


def _after_name(packet: bytes, at: int) -> int:
    while length := packet[at]:
        if length >= _POINTER:
            return at + 2
        if length > LONGEST_LABEL:
            raise _Malformed
        at += 1 + length
    return at + 1


def _cookie(packet: bytes, at: int, end: int) -> bytes | None:
    """The first COOKIE option. Others are not used, but a list of them that does not add up is malformed."""
    found = None
    while at < end:
        code, length = struct.unpack_from("!HH", packet, at)
        at += 4 + length
        if code == COOKIE_OPTION and found is None:
            if not is_well_formed(length):
                raise _Malformed
            found = packet[at - length : at]
    if at != end:
        raise _Malformed
    return found
