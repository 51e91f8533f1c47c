"""One DNS question as a packet, and what a reply says, compared without what may differ rightly. Pure.

Two servers say the same when the code and the set of records are the same: order, TTL and the spelling of
names are left out. What comes back is other people's bytes: whatever they are, the result is a `Reply` or
`Unreadable`.
"""

import re
import struct
from dataclasses import dataclass
from ipaddress import ip_address

from dnslib import CLASS, EDNS0, QTYPE, RCODE, RR, DNSError, DNSHeader, DNSQuestion, DNSRecord

from mesh_cli.table import one_line
from mesh_core.errors import UserError
from mesh_core.names import CLUSTERSET_ZONE

TYPES = ("A", "AAAA", "SRV", "TXT", "NS", "SOA")
"""What can be asked for."""

AGE, STATE = "age.mesh-dns", "state.mesh-dns"
"""Class CH, type TXT: how many seconds ago a mesh-dns heard its API server, and where its names come from."""

_LONGEST = 253
_MOST_SHOWN = 300
_ADDRESSES = {"A", "AAAA"}


class BadName(UserError):
    """What was typed is no name of the clusterset's zone."""

    def __init__(self, name: str, *, why: str) -> None:
        super().__init__(
            f"{name!r} cannot be asked: {why}",
            next_step=f"give a name such as SERVICE.NAMESPACE.svc.{CLUSTERSET_ZONE}",
        )


class Unreadable(Exception):
    """It is no reply to the question; caught where it was asked."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked, in lower case and without a dot at the end."""

    name: str
    type: str

    def packet(self) -> bytes:
        """The query as one DNS message, with room for 1232 bytes over UDP."""
        asked = DNSRecord.question(self.name, self.type)
        asked.add_ar(EDNS0(udp_len=1232))
        return bytes(asked.pack())


@dataclass(frozen=True, slots=True)
class Reply:
    """What was said: the code by its name, the records of the asked type as sorted text, the least TTL.

    `rcode` is "" where only addresses are known, not how the name was denied: a pod's own look-up.
    """

    rcode: str
    records: tuple[str, ...] = ()
    ttl: int | None = None

    def agrees_with(self, other: "Reply") -> bool:
        """Whether both say the same, as far as both say it."""
        if self.records != other.records:
            return False
        return not (self.rcode and other.rcode) or self.rcode == other.rcode

    def __str__(self) -> str:
        if self.records:
            return ", ".join(self.records)
        return "no records" if self.rcode == "NOERROR" else self.rcode or "nothing found"


def query_for(name: str, *, type_: str) -> Query:
    """The question for a name as a person writes it; raises BadName."""
    plain = name.lower().rstrip(".")
    if plain != CLUSTERSET_ZONE and not plain.endswith(f".{CLUSTERSET_ZONE}"):
        raise BadName(name, why=f"it is not in {CLUSTERSET_ZONE}")
    if len(plain) > _LONGEST or not plain.isascii() or not plain.isprintable() or " " in plain:
        raise BadName(name, why=f"it has other characters, or more than {_LONGEST}")
    if not all(1 <= len(label) <= 63 for label in plain.split(".")):
        raise BadName(name, why="between its dots stand 1 to 63 characters")
    return Query(plain, type_)


def service_of(name: str) -> tuple[str, str] | None:
    """(namespace, name) of the import that a name of the zone belongs to; None for the zone's own names."""
    below = name.removesuffix(CLUSTERSET_ZONE).rstrip(".").split(".")
    return (below[-2], below[-3]) if len(below) >= 3 and below[-1] == "svc" else None


def namespace_of(name: str) -> str | None:
    """The namespace whose own name it is, "" for that of all namespaces; None for any other name."""
    below = name.removesuffix(CLUSTERSET_ZONE).rstrip(".").split(".")
    if below[-1] != "svc" or len(below) > 2:
        return None
    return below[0] if len(below) == 2 else ""


def reply_of(raw: bytes, *, query: Query) -> Reply:
    """What `raw` says to `query`; raises Unreadable."""
    try:
        message = DNSRecord.parse(raw)
        asked = [(str(one.qname).lower().rstrip("."), QTYPE.get(one.qtype)) for one in message.questions]
        if not message.header.qr or asked != [(query.name, query.type)]:
            raise Unreadable("it answers another question")
        answers = [one for one in message.rr if (one.rtype, one.rclass) == _wanted(query)]
        records = tuple(sorted({_text(one, type_=query.type) for one in answers}))
        ttls = [int(one.ttl) for one in (answers or message.auth)]
        # Extended codes (RFC 6891) are not told apart: nobody sends one for a well-formed question.
        return Reply(str(RCODE.get(message.header.rcode)), records, min(ttls, default=None))
    except (DNSError, ValueError, IndexError, struct.error) as error:
        raise Unreadable(f"it is no DNS message ({one_line(str(error))})") from error


def self_packet(name: str) -> bytes:
    """The question that a mesh-dns answers about itself: AGE or STATE (docs/names.md)."""
    asked = DNSRecord(header=DNSHeader(rd=0))
    asked.add_question(DNSQuestion(name, QTYPE.TXT, CLASS.CH))
    return bytes(asked.pack())


def text_in(raw: bytes) -> str:
    """The text that answers `self_packet`; "" when there is none, as from versions that do not know it."""
    try:
        records = [one for one in DNSRecord.parse(raw).rr if one.rtype == QTYPE.TXT]
        return one_line(records[0].rdata.data[0].decode()) if records else ""
    except (DNSError, ValueError, IndexError, struct.error):
        return ""


def age_of(text: str) -> float | None:
    """Seconds, as AGE says them; None for anything else, as before the API server was first heard."""
    return float(text) if re.fullmatch(r"\d{1,9}(\.\d{1,3})?", text) else None


def found_addresses(text: str, *, query: Query) -> Reply:
    """What a pod's own look-up found, one address a line; those of the other family are left out."""
    found = set()
    for line in text.splitlines():
        try:
            address = ip_address(line.strip())
        except ValueError:
            continue
        if (address.version == 4) == (query.type == "A"):
            found.add(str(address))
    return Reply("", tuple(sorted(found)))


def _wanted(query: Query) -> tuple[int, int]:
    return getattr(QTYPE, query.type), CLASS.IN


def _text(record: RR, *, type_: str) -> str:
    text = str(record.rdata)
    text = str(ip_address(text)) if type_ in _ADDRESSES else text
    return one_line(text.lower() if type_ != "TXT" else text)[:_MOST_SHOWN]
