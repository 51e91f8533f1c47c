"""DNS on the wire, as far as we write it: codes, names and resource records (RFC 1035, RFC 2782, RFC 3596).

1. A record's owner is always a pointer into the question that stands before it, so a ready-made record
   fits behind every spelling of that question.
2. Every record has the one TTL of the zone, which the caller gives.
3. The target of an SRV record is written out, as RFC 2782 demands: there are resolvers (c-ares 1.34.7 is one)
   that refuse the whole answer when it holds a pointer.

Reading is `mesh_dns.question`'s.
"""

import struct
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address

HEADER_BYTES = 12
TRUNCATED = 0x02
"""In the third byte of the header: there is more, to be asked for over TCP."""
LONGEST_NAME = 255
LONGEST_LABEL = 63

TTL = 5
"""Seconds that an answer may be kept, positive or negative, where nobody says otherwise: as long as CoreDNS
keeps one at least."""

LONGEST_TTL = 3600
"""More would only keep clients from seeing what changed; RFC 2181 section 8 would allow 68 years."""

MOST_RECORDS = 200
"""Records of one type that a name answers with. The longest SRV record has 273 bytes, so that many fit into a
message over TCP whatever the names are."""

CLASS_INTERNET = 1
CLASS_CHAOS = 3


class Type(IntEnum):
    """Record types that we serve or treat in a way of their own."""

    A = 1
    NS = 2
    SOA = 6
    PTR = 12
    TXT = 16
    AAAA = 28
    SRV = 33
    OPT = 41
    TKEY = 249
    TSIG = 250
    IXFR = 251
    AXFR = 252
    MAILB = 253
    MAILA = 254
    ANY = 255


class Rcode(IntEnum):
    """Response codes (RFC 1035 section 4.1.1); the last two need the OPT record's upper bits (RFC 6891)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16
    BADCOOKIE = 23


def labels(*texts: str) -> bytes:
    """The labels as they stand in a name, without the root label that ends it.

    Raises ValueError for a label that is empty, longer than 63 bytes or not ASCII.
    """
    encoded = [text.encode("ascii") for text in texts]
    for text in encoded:
        if not 1 <= len(text) <= LONGEST_LABEL:
            raise ValueError(f"a label has 1 to {LONGEST_LABEL} bytes, not {len(text)}")
    return b"".join(bytes((len(text),)) + text for text in encoded)


def pointer(offset: int) -> bytes:
    """A compression pointer to `offset` bytes after the start of the message."""
    return struct.pack("!H", 0xC000 | offset)


OWNER_IS_QUESTION = pointer(HEADER_BYTES)


def record(owner: bytes, type_: Type, data: bytes, *, ttl: int = TTL) -> bytes:
    """One resource record of class IN that may be kept for `ttl` seconds."""
    return owner + struct.pack("!HHIH", type_, CLASS_INTERNET, ttl, len(data)) + data


def address_record(address: Address, *, ttl: int = TTL) -> bytes:
    """An A or AAAA record whose owner is the question's name."""
    type_ = Type.A if isinstance(address, IPv4Address) else Type.AAAA
    return record(OWNER_IS_QUESTION, type_, address.packed, ttl=ttl)


def service_record(*, port: int, target: bytes, ttl: int = TTL) -> bytes:
    """An SRV record whose owner is the question's name; `target` is a whole name in wire form.

    All endpoints are alike to DNS: priority 0, weight 100, which is what CoreDNS begins with.
    """
    return record(OWNER_IS_QUESTION, Type.SRV, struct.pack("!HHH", 0, 100, port) + target, ttl=ttl)


def pointer_record(target: bytes, *, ttl: int = TTL) -> bytes:
    """A PTR record whose owner is the question's name; `target` is a whole name in wire form."""
    return record(OWNER_IS_QUESTION, Type.PTR, target, ttl=ttl)


def text_record(text: str, *, ttl: int = TTL) -> bytes:
    """A TXT record with one string of at most 255 bytes, whose owner is the question's name."""
    encoded = text.encode("ascii")
    return record(OWNER_IS_QUESTION, Type.TXT, bytes((len(encoded),)) + encoded, ttl=ttl)


def opt_record(*, payload: int, rcode: int, dnssec_ok: bool, options: bytes = b"") -> bytes:
    """The OPT record of a reply (RFC 6891 section 6.1.2).

    `payload` is the largest datagram in bytes that the sender takes, `rcode` the whole response code.
    """
    head = struct.pack("!BHHBBHH", 0, Type.OPT, payload, rcode >> 4, 0, dnssec_ok << 15, len(options))
    return head + options


def option(code: int, data: bytes) -> bytes:
    """One option of an OPT record."""
    return struct.pack("!HH", code, len(data)) + data
