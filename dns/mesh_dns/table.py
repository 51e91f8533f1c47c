"""The zone as ready-made answers: what `clusterset.local` says right now, one dict lookup away.

1. A name is in the table if and only if it exists; an existing name without the asked type is NODATA.
2. The records of an answer are made when an import changes, never when a question comes.
3. `svc` and the namespaces with at least one name exist, and hold nothing (KEP-1645 leaves them open; this
   is what CoreDNS answers).
4. Nothing else in the zone exists, `<cluster id>.<service>...` least of all: the standard reserves it.

Who fills the table is `mesh_dns.names`; how an answer becomes a reply is `mesh_dns.answer`'s.
"""

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from mesh_core.names import CLUSTERSET_ZONE
from mesh_dns.question import Question
from mesh_dns.wire import (
    HEADER_BYTES,
    LONGEST_NAME,
    OWNER_IS_QUESTION,
    TTL,
    Address,
    Rcode,
    Type,
    address_record,
    labels,
    pointer,
    record,
    text_record,
)

DNS_SCHEMA_VERSION = "1.0.0"
"""Schema of the MCS DNS specification that the names follow."""

_ZONE_LABELS = CLUSTERSET_ZONE.split(".")
ZONE = labels(*_ZONE_LABELS) + b"\0"
ZONE_DEPTH = len(_ZONE_LABELS)

_NAME_SERVER = labels("ns", "dns")
_MAILBOX = labels("hostmaster")
# Nothing transfers this zone, so the serial tells nobody anything and never changes.
_SERIAL, _REFRESH, _RETRY, _EXPIRE = 1, 7200, 1800, 86400


@dataclass(frozen=True, slots=True)
class Answer:
    """The part of a reply that depends on the table, ready to be written behind the question.

    `records` holds `answers` records of the answer section, then `authority` of the authority section.
    """

    rcode: Rcode
    authoritative: bool
    answers: int = 0
    authority: int = 0
    records: bytes = b""


class Table:
    """The answers of the zone. Until `complete` is set, nobody can say that a name does not exist."""

    def __init__(self) -> None:
        self.complete = False
        self._nodes: dict[bytes, dict[int, Answer]] = {
            ZONE: _node({Type.SOA: [_soa(HEADER_BYTES)], Type.NS: [_ns()]}),
            _name("dns-version"): _node({Type.TXT: [text_record(DNS_SCHEMA_VERSION)]}),
            _name("dns"): {},
            _name("ns", "dns"): {},
            _name("svc"): {},
        }
        self._in_namespace: Counter[str] = Counter()

    def find(self, question: Question) -> Answer | None:
        """The answer to a question of class IN; None when it lies outside the zone."""
        node = self._nodes.get(question.name)
        if node is not None:
            return node.get(question.type) or _NODATA[len(question.name)]
        if question.is_below(ZONE, labels=ZONE_DEPTH):
            return _NXDOMAIN[len(question.name)]
        return None

    def put(self, *, namespace: str, service: str, addresses: Sequence[Address]) -> None:
        """Lets the name of a Service answer with `addresses`, in their order; none is NODATA.

        Raises ValueError when `namespace` or `service` is no DNS label.
        """
        name = _name(service, namespace, "svc")
        if name not in self._nodes:
            self._in_namespace[namespace] += 1
            self._nodes[_name(namespace, "svc")] = {}
        self._nodes[name] = _address_node(addresses)

    def drop(self, *, namespace: str, service: str) -> None:
        """Lets the name of a Service exist no more; a name that is not there is none of our business."""
        if self._nodes.pop(_name(service, namespace, "svc"), None) is None:
            return
        self._in_namespace[namespace] -= 1
        if not self._in_namespace[namespace]:
            del self._in_namespace[namespace]
            del self._nodes[_name(namespace, "svc")]

    def put_name_server(self, addresses: Sequence[Address]) -> None:
        """Gives the zone's name server, `ns.dns.clusterset.local`, its addresses."""
        self._nodes[_name("ns", "dns")] = _address_node(addresses)


def _name(*below_zone: str) -> bytes:
    return labels(*below_zone) + ZONE


def _address_node(addresses: Sequence[Address]) -> dict[int, Answer]:
    four = [address_record(one) for one in addresses if isinstance(one, IPv4Address)]
    six = [address_record(one) for one in addresses if not isinstance(one, IPv4Address)]
    return _node({Type.A: four, Type.AAAA: six})


def _node(sets: dict[Type, list[bytes]]) -> dict[int, Answer]:
    """Answers by type; ANY gets the first record set that is not empty (RFC 8482 section 4.1)."""
    node: dict[int, Answer] = {}
    for type_, records in sets.items():
        if records:
            node[type_] = Answer(Rcode.NOERROR, True, answers=len(records), records=b"".join(records))
            node.setdefault(Type.ANY, node[type_])
    return node


def _ns() -> bytes:
    return record(OWNER_IS_QUESTION, Type.NS, _NAME_SERVER + OWNER_IS_QUESTION)


def _soa(zone_at: int) -> bytes:
    """The SOA record, its names given as pointers to the zone's name `zone_at` bytes into the message.

    Its TTL and its minimum are how long a denial is kept (RFC 2308 section 5).
    """
    zone = pointer(zone_at)
    timers = struct.pack("!IIIII", _SERIAL, _REFRESH, _RETRY, _EXPIRE, TTL)
    return record(zone, Type.SOA, _NAME_SERVER + zone + _MAILBOX + zone + timers)


def _denials(rcode: Rcode) -> dict[int, Answer]:
    """The answer that denies a name or type, for every length that a name of the zone can have."""
    return {
        length: Answer(rcode, True, authority=1, records=_soa(HEADER_BYTES + length - len(ZONE)))
        for length in range(len(ZONE), LONGEST_NAME + 1)
    }


_NODATA = _denials(Rcode.NOERROR)
_NXDOMAIN = _denials(Rcode.NXDOMAIN)
