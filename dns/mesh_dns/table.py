"""The zone as ready-made answers: what `clusterset.local` says right now, one dict lookup away.

1. A name is in the table if and only if it exists; an existing name without the asked type is NODATA.
2. The records of an answer are made when an import or its endpoints change, not when a question comes; all
   names of one service change at once, and no other's. What says the same as before stays the same object.
3. `svc` and the namespaces with at least one name exist, and hold nothing (KEP-1645 leaves them open; this
   is what CoreDNS answers).
4. `_<protocol>.<service>...` exists where a named port below it does, and holds nothing (RFC 8020).
5. Nothing else in the zone exists, `<cluster id>.<service>...` least of all. There are names below it, so by
   RFC 8020 it would exist without records; but the MCS standard reserves it and says that it must not exist.
6. A name answers with at most `MOST_RECORDS` records of a type, in an order that the id of the query turns.
7. Below `in-addr.arpa` and `ip6.arpa` exist the addresses that the zone gives out, with the names that they
   have here, and nothing is denied: those zones are somebody else's. Their records are the only ones that
   are made when they are asked for (`mesh_dns.reverse`).

Who fills the table is `mesh_dns.names`; how an answer becomes a reply is `mesh_dns.answer`'s.
"""

import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, groupby, islice

from mesh_core.names import CLUSTERSET_ZONE
from mesh_dns.entry import Entry, Host, Target
from mesh_dns.question import Question
from mesh_dns.reverse import Reverse, address_of
from mesh_dns.wire import (
    HEADER_BYTES,
    LONGEST_NAME,
    MOST_RECORDS,
    OWNER_IS_QUESTION,
    TTL,
    Address,
    Rcode,
    Type,
    address_record,
    labels,
    pointer,
    pointer_record,
    record,
    service_record,
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

    `records` holds `answers` records of the answer section, then `authority` of the authority section, for
    whoever asks without a query. To queries the same records are given in turned orders: `variants`, of
    which a query gets that of its id. In each of the `rings`, stretches of `records` told by the offset of
    each record in them and the end, another record comes first each time. Without rings there is one order.
    """

    rcode: Rcode
    authoritative: bool
    answers: int = 0
    authority: int = 0
    records: bytes = b""
    rings: tuple[tuple[int, ...], ...] = ()

    @property
    def turns(self) -> int:
        """How many variants there are, 1 at least: each record of the first ring comes first in as many of
        them as any other, and each of another ring is first there at least once."""
        sizes = [len(ring) - 1 for ring in self.rings] or [1]
        return sizes[0] * -(-max(sizes) // sizes[0])

    @property
    def variants(self) -> tuple[bytes, ...]:
        """All orders of the records, made when asked for: `turns` times the length of `records`, so bound
        that before keeping them. A query with the id n gets variant n modulo `turns`."""
        return tuple(self._turned(by) for by in range(self.turns))

    def variant(self, query_id: int) -> bytes:
        """The records in the order for a query with that id."""
        return self._turned(query_id % self.turns) if self.rings else self.records

    def _turned(self, by: int) -> bytes:
        if not self.rings:
            return self.records
        pieces = []
        for ring in self.rings:
            at = ring[by % (len(ring) - 1)]
            pieces += [self.records[at : ring[-1]], self.records[ring[0] : at]]
        return b"".join(pieces)


class Node(dict[int, Answer]):
    """The answers of one name, by type. It can be referred to weakly: whoever wants to know whether a name
    still says the same must not keep alive what it said before."""

    __slots__ = ("__weakref__",)


_NOTHING = Entry()
_NO_DATA_ELSEWHERE = Answer(Rcode.NOERROR, True)
"""For a name of a zone that is not ours, so without its SOA."""


class Table:
    """The answers of the zone, which may be kept for `ttl` seconds.

    Until `complete` is set, nobody can say that a name does not exist. `snapshot_of` is None but while the
    table says what was kept on disk: then it is when the API server had been heard, in seconds of the epoch.
    """

    def __init__(self, *, ttl: int = TTL) -> None:
        self.complete = False
        self.snapshot_of: float | None = None
        self.ttl = ttl
        self._nodata = _denials(Rcode.NOERROR, ttl=ttl)
        self._nxdomain = _denials(Rcode.NXDOMAIN, ttl=ttl)
        self._reverse = Reverse()
        self._nodes: dict[bytes, Node] = {
            ZONE: _node({Type.SOA: [[_soa(HEADER_BYTES, ttl=ttl)]], Type.NS: [[_ns(ttl=ttl)]]}),
            _name("dns-version"): _node({Type.TXT: [[text_record(DNS_SCHEMA_VERSION, ttl=ttl)]]}),
            _name("dns"): Node(),
            _name("ns", "dns"): Node(),
            _name("svc"): Node(),
        }
        self._names: dict[tuple[str, str], frozenset[bytes]] = {}  # those of each (namespace, service)
        self._entries: dict[tuple[str, str], Entry] = {}
        self._in_namespace: Counter[str] = Counter()
        self._name_server: tuple[Address, ...] = ()

    @property
    def entries(self) -> Mapping[tuple[str, str], Entry]:
        """What the zone says of each service, by (namespace, name); it changes with the table."""
        return self._entries

    @property
    def name_server(self) -> tuple[Address, ...]:
        """The addresses of the zone's name server."""
        return self._name_server

    def find(self, question: Question) -> Answer | None:
        """The answer to a question of class IN; None when it lies outside the zone."""
        node = self._nodes.get(question.name)
        if node is not None:
            return node.get(question.type) or self._nodata[len(question.name)]
        if question.is_below(ZONE, labels=ZONE_DEPTH):
            return self._nxdomain[len(question.name)]
        return self._pointers(question)

    def node(self, name: bytes) -> Node | None:
        """The answers of a name of the zone in wire form and lower case, by type; None: it does not exist.

        Any change of what the name says makes it another object, so `is` tells whether it is still the same;
        refer to it weakly.
        """
        return self._nodes.get(name)

    def put(self, entry: Entry, *, namespace: str, service: str) -> bool:
        """Lets the name of a Service, and the names below it, say what `entry` says and nothing else; whether
        that is something new.

        Raises ValueError when one of the names has a part that is no DNS label.
        """
        key = namespace, service
        old = self._entries.get(key, _NOTHING)
        before = self._names.get(key)
        if before is not None and old == entry:
            return False
        own = _name(service, namespace, "svc")
        hosts = _host_names(entry.hosts, own=own)
        nodes = _service_nodes(entry, own=own, hosts=hosts, ttl=self.ttl)
        for host, known in entry.hosts.items():
            name = hosts[host]
            is_same = old.hosts.get(host) == known
            nodes[name] = self._nodes[name] if is_same else _node(_address_sets([known], ttl=self.ttl))
        if before is None:
            self._in_namespace[namespace] += 1
            self._nodes[_name(namespace, "svc")] = Node()
        else:
            self._forget(before - nodes.keys())
        self._nodes.update(nodes)
        self._names[key] = frozenset(nodes)
        self._entries[key] = entry
        self._rename(own, old=old, new=entry, hosts=hosts)
        return True

    def drop(self, *, namespace: str, service: str) -> bool:
        """Lets the names of a Service exist no more; whether they did. One that is not there is none of our
        business."""
        names = self._names.pop((namespace, service), None)
        if names is None:
            return False
        old = self._entries.pop((namespace, service))
        self._forget(names)
        self._rename(_name(service, namespace, "svc"), old=old, new=_NOTHING, hosts={})
        self._in_namespace[namespace] -= 1
        if not self._in_namespace[namespace]:
            del self._in_namespace[namespace]
            del self._nodes[_name(namespace, "svc")]
        return True

    def put_name_server(self, addresses: Sequence[Address]) -> bool:
        """Gives the zone's name server, `ns.dns.clusterset.local`, its addresses; whether they are new."""
        before, self._name_server = self._name_server, tuple(addresses)
        if self._name_server == before:
            return False
        own = _name("ns", "dns")
        self._nodes[own] = _node(_address_sets([self._name_server], ttl=self.ttl))
        self._reverse.remove(before, name=own)
        self._reverse.add(self._name_server, name=own)
        return True

    def restore(
        self, entries: Mapping[tuple[str, str], Entry], *, name_server: Sequence[Address], heard: float
    ) -> None:
        """Begins with what was kept on disk, as the API server had it at `heard`; it is complete then."""
        for (namespace, service), entry in entries.items():
            self.put(entry, namespace=namespace, service=service)
        self.put_name_server(name_server)
        self.snapshot_of = heard
        self.complete = True

    def _pointers(self, question: Question) -> Answer | None:
        """The names of the address that is asked for; None when the zone gives out no such address."""
        address = address_of(question.name)
        names = self._reverse.names_of(address) if address is not None else []
        if not names:
            return None
        if question.type not in (Type.PTR, Type.ANY):
            return _NO_DATA_ELSEWHERE
        records = b"".join(pointer_record(name, ttl=self.ttl) for name in names)
        return Answer(Rcode.NOERROR, True, answers=len(names), records=records)

    def _rename(self, own: bytes, *, old: Entry, new: Entry, hosts: Mapping[Host, bytes]) -> None:
        """Gives the addresses of the service named `own` the names that they have from now on."""
        if not old.hosts:
            self._reverse.remove(old.addresses, name=own)
        gone = {host: known for host, known in old.hosts.items() if new.hosts.get(host) != known}
        for host, name in _host_names(gone, own=own).items():
            self._reverse.remove(gone[host], name=name)
        if not new.hosts:
            self._reverse.add(new.addresses, name=own)
        for host, known in new.hosts.items():
            if old.hosts.get(host) != known:
                self._reverse.add(known, name=hosts[host])

    def _forget(self, names: Iterable[bytes]) -> None:
        for name in names:
            del self._nodes[name]


def _name(*below_zone: str) -> bytes:
    return labels(*below_zone) + ZONE


def _host_names(hosts: Iterable[Host], *, own: bytes) -> dict[Host, bytes]:
    """The names of hosts below the service named `own`."""
    clusters: dict[str, bytes] = {}
    found: dict[Host, bytes] = {}
    for host in hosts:
        cluster = clusters.get(host.cluster)
        if cluster is None:
            cluster = clusters[host.cluster] = labels(host.cluster) + own
        found[host] = labels(host.label) + cluster
    return found


def _service_nodes(entry: Entry, *, own: bytes, hosts: Mapping[Host, bytes], ttl: int) -> dict[bytes, Node]:
    """The nodes of one service but those of its hosts, by name; `own` is the service's."""

    def record_of(target: Target) -> bytes:
        host = target.host
        # What was kept on disk might name a host that it does not hold.
        name = own if host is None else hosts.get(host) or labels(*host) + own
        return service_record(port=target.port, target=name, ttl=ttl)

    records = {target: record_of(target) for target in entry.targets}

    def by_cluster(targets: Iterable[Target]) -> list[list[bytes]]:
        if not entry.stretches:
            return [[records[one] for one in targets]]
        return [[records[one] for one in group] for _, group in groupby(targets, key=_cluster)]

    rest = iter(entry.addresses)
    stretches = [tuple(islice(rest, length)) for length in entry.stretches] or [entry.addresses]
    nodes = {own: _node({**_address_sets(stretches, ttl=ttl), Type.SRV: by_cluster(entry.targets)})}
    for port, targets in entry.ports.items():
        between = labels(f"_{port.protocol}") + own
        nodes[between] = Node()
        nodes[labels(f"_{port.name}") + between] = _node({Type.SRV: by_cluster(targets)})
    return nodes


def _cluster(target: Target) -> str:
    return target.host.cluster if target.host is not None else ""


def _address_sets(stretches: Iterable[Sequence[Address]], *, ttl: int) -> dict[Type, list[list[bytes]]]:
    """The records of addresses, by family, each stretch by itself."""
    sets: dict[Type, list[list[bytes]]] = {Type.A: [], Type.AAAA: []}
    for stretch in stretches:
        for type_, known in sets.items():
            version = 4 if type_ is Type.A else 6
            known.append([address_record(one, ttl=ttl) for one in stretch if one.version == version])
    return sets


def _node(sets: dict[Type, list[list[bytes]]]) -> Node:
    """Answers by type, from stretches of records; ANY gets the first record set that is not empty (RFC 8482
    section 4.1)."""
    node = Node()
    for type_, stretches in sets.items():
        if any(stretches):
            node[type_] = _answer(stretches)
            node.setdefault(Type.ANY, node[type_])
    return node


def _answer(stretches: Iterable[Sequence[bytes]]) -> Answer:
    """The first `MOST_RECORDS` of them; each stretch is turned by itself."""
    records: list[bytes] = []
    rings: list[tuple[int, ...]] = []
    at = 0
    for stretch in stretches:
        own = stretch[: MOST_RECORDS - len(records)]
        if own:
            ring = tuple(accumulate(map(len, own), initial=at))
            records += own
            rings.append(ring)
            at = ring[-1]
    is_turned = len(records) > len(rings)
    return Answer(
        Rcode.NOERROR,
        True,
        answers=len(records),
        records=b"".join(records),
        rings=tuple(rings) if is_turned else (),
    )


def _ns(*, ttl: int) -> bytes:
    return record(OWNER_IS_QUESTION, Type.NS, _NAME_SERVER + OWNER_IS_QUESTION, ttl=ttl)


def _soa(zone_at: int, *, ttl: int) -> bytes:
    """The SOA record, its names given as pointers to the zone's name `zone_at` bytes into the message.

    Its TTL and its minimum are how long a denial is kept (RFC 2308 section 5).
    """
    zone = pointer(zone_at)
    timers = struct.pack("!IIIII", _SERIAL, _REFRESH, _RETRY, _EXPIRE, ttl)
    return record(zone, Type.SOA, _NAME_SERVER + zone + _MAILBOX + zone + timers, ttl=ttl)


@cache
def _denials(rcode: Rcode, *, ttl: int) -> Mapping[int, Answer]:
    """The answer that denies a name or type, for every length that a name of the zone can have."""
    return {
        length: Answer(rcode, True, authority=1, records=_soa(HEADER_BYTES + length - len(ZONE), ttl=ttl))
        for length in range(len(ZONE), LONGEST_NAME + 1)
    }
