"""The questions to both servers: those that they answer alike, and the differences, each with its reason.

`docs/names.md` shows the differences; a test keeps the two the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from live.coredns.objects import MANY, ODD, REAL
from live.coredns.servers import Question
from mesh_core.names import CLUSTERSET_ZONE

ADDRESSES = ("A", "AAAA")
SERVICE = (*ADDRESSES, "SRV", "TXT")
COMMON = (*SERVICE, "MX", "CNAME", "PTR", "NS", "HTTPS")
NODATA, NXDOMAIN = "NODATA", "NXDOMAIN"

# Names below the zone, by the types that are asked for; `{real}` and `{odd}` are the names of services there.
_ALIKE: Mapping[Sequence[str], Sequence[str]] = {
    ("A", "AAAA", "SRV", "MX", "CNAME", "PTR", "NS", "SOA", "HTTPS"): ("",),
    (*ADDRESSES, "SRV"): ("svc",),
    ("TXT",): ("dns-version.none", "no-such-name"),
    ("A", "TXT"): ("none.svc", "service.none.svc", "gone.svc", "gone.gone.svc", "no-such.gone.svc"),
    ("A",): ("real.svc", "real.pod", "10-0-0-1.real.pod", "no.such-name"),
    (*COMMON, "SOA"): ("hello.real.svc", "db.real.svc", "bare.real.svc", "local.real.svc", "HeLLo.rEAL.svC"),
    COMMON: ("asleep.real.svc", "no-such.real.svc"),
    SERVICE: (
        *(f"{name}.odd.svc" for name in ("dual", "six", "sliced", "with.dot", "no-such")),
        *(f"{name}.odd.svc" for name in ("pods", "portless", "same-host", "twice", "six-pods")),
        *(f"{name}.odd.svc" for name in ("two-addresses", "terminating")),
    ),
    (*ADDRESSES, "TXT"): (
        *("plain.real.svc", "unnamed.odd.svc", "nameless.odd.svc"),
        *("db-0.east.db.real.svc", "db-1.east.db.real.svc", "db-0.west.db.real.svc"),
        *("db-1.west.db.real.svc", "db-2.east.db.real.svc", "db-0.north.db.real.svc"),
        *("10-250-3-1.west.local.real.svc", "named.west.local.real.svc", "10-250-3-2.west.local.real.svc"),
        *("10-250-1-1.east.bare.real.svc", "10-250-2-1.east.asleep.real.svc"),
        *("a.east.pods.odd.svc", "10-0-2-2.east.pods.odd.svc", "10-0-2-1.east.pods.odd.svc"),
        *("10-0-3-1.east.portless.odd.svc", "10-0-4-1.east.nameless.odd.svc"),
        *("db-0.east.same-host.odd.svc", "db-0.west.same-host.odd.svc", "10-0-6-1.east.twice.odd.svc"),
        *("fd00--1.east.six-pods.odd.svc", "fd00--0.east.six-pods.odd.svc", "x.east.six-pods.odd.svc"),
        *("pair.east.two-addresses.odd.svc", "10-0-7-2.east.two-addresses.odd.svc"),
        *("10-0-8-1.east.terminating.odd.svc", "10-0-8-2.east.terminating.odd.svc"),
        *("10-1-1-50.east.many.odd.svc", "x.db-0.east.db.real.svc", "who.east.eu.dotted-cluster.odd.svc"),
    ),
    # The name that the standard reserves, for both types of import.
    (*ADDRESSES, "SRV", "NS"): ("east.hello.real.svc", "east.db.real.svc", "west.db.real.svc"),
    ("SRV", "TXT"): (
        *(f"_{port}.hello.real.svc" for port in ("dns._udp", "dns-tcp._tcp", "admin._tcp")),
        *("_dns._tcp.hello.real.svc", "_none._tcp.hello.real.svc", "_53._udp.hello.real.svc"),
        *("_DNS._UDP.hello.real.svc", "x._dns._udp.hello.real.svc", "_sql._tcp.asleep.real.svc"),
        *("_sql._tcp.db.real.svc", "_admin._tcp.db.real.svc", "_sql._tcp.bare.real.svc"),
        *("_sql._udp.db.real.svc", "_none._tcp.db.real.svc", "_admin._tcp.bare.real.svc"),
        *("_sql._tcp.dual.odd.svc", "_admin._tcp.dual.odd.svc", "_sql._tcp.six.odd.svc"),
        *("_sql._tcp.unnamed.odd.svc", "_sql._tcp.pods.odd.svc", "_admin._tcp.pods.odd.svc"),
        *("_sql._tcp.portless.odd.svc", "_sql._tcp.nameless.odd.svc", "_sql._tcp.same-host.odd.svc"),
        *("_sql._tcp.twice.odd.svc", "_admin._tcp.twice.odd.svc", "_sql._tcp.six-pods.odd.svc"),
        *("_sql._tcp.terminating.odd.svc", "_sql._tcp.no-ports.odd.svc", "_sql._tcp.with.dot.odd.svc"),
    ),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """What CoreDNS says and what we say to some questions; `why` is the clause, `shown` is in the docs."""

    shown: str
    why: str
    said: Mapping[tuple[str, str], tuple[str, str]]
    """(name below the zone, type) to (CoreDNS, ours), as `Said` is written."""


def _srv(name: str, *ports: int) -> str:
    records = sorted(f"SRV {port} {name}.{CLUSTERSET_ZONE}." for port in ports)
    return f"{len(records)}: {', '.join(records)}"


def _each(answers: tuple[str, str], *questions: tuple[str, str]) -> dict[tuple[str, str], tuple[str, str]]:
    return dict.fromkeys(questions, answers)


# What is not of one answer, or another one at each start.
NAME_SERVER = Difference(
    shown="`ns.dns` has the ClusterIPs of our Service",
    why="the name server's address is that where it is asked; CoreDNS gives its own pod's",
    said={},
)
SRV_WEIGHTS = Difference(
    shown="SRV records have weight 100, and nothing stands beside them",
    why="an asker asks for a target's addresses; CoreDNS divides 100 among the records and adds addresses",
    said={},
)

DIFFERENCES: Sequence[Difference] = (
    Difference(
        shown="`dns-version` is `1.0.0`",
        why="the newest version of the specification; CoreDNS says `1.1.0`, which is that of cluster DNS",
        said={("dns-version", "TXT"): ('1: TXT "1.1.0"', '1: TXT "1.0.0"')},
    ),
    Difference(
        shown="a name that exists has no other types",
        why="NODATA (RFC 2308, 2.2); CoreDNS denies the name for TXT, and with it all below it (RFC 8020)",
        said=_each(
            (NXDOMAIN, NODATA),
            *(("", "TXT"), ("svc", "TXT"), (f"{REAL}.svc", "TXT"), ("dns-version", "A")),
            *(("ns.dns", "TXT"), (f"no-ips.{ODD}.svc", "TXT")),
        ),
    ),
    Difference(
        shown="a name that does not exist has no SOA either",
        why="NXDOMAIN (RFC 2308, 2.1); CoreDNS does not look",
        said=_each((NODATA, NXDOMAIN), (f"asleep.{REAL}.svc", "SOA"), (f"no-such.{REAL}.svc", "SOA")),
    ),
    Difference(
        shown="a name below which there are names exists",
        why="an empty non-terminal is NODATA (RFC 8020); CoreDNS denies it",
        said=_each(
            (NXDOMAIN, NODATA),
            *(("dns", "A"), (f"_tcp.hello.{REAL}.svc", "A"), (f"_udp.hello.{REAL}.svc", "SRV")),
            *((f"_tcp.db.{REAL}.svc", "SRV"), (f"_tcp.dual.{ODD}.svc", "A")),
        ),
    ),
    Difference(
        shown="a name that holds nothing, and has nothing below it, does not exist",
        why="so a namespace without an import that has a name; CoreDNS goes by the Namespace object",
        said=_each((NODATA, NXDOMAIN), ("vacant.svc", "A"), ("pod", "A")),
    ),
    Difference(
        shown="ANY is answered with one record set",
        why="RFC 8482, 4.1; CoreDNS says NODATA",
        said={(f"sliced.{ODD}.svc", "ANY"): (NODATA, "1: A 10.96.1.6")},
    ),
    Difference(
        shown="a port's name has only SRV records",
        why="as the specification lists them; CoreDNS gives the service's addresses too",
        said=_each(("1: A 10.96.1.1", NODATA), (f"_sql._tcp.dual.{ODD}.svc", "A")),
    ),
    Difference(
        shown="a port's name is spelled with both underscores",
        why="RFC 2782; CoreDNS leaves them out where one is there, and takes an empty name for every port",
        said={
            (f"sql._tcp.dual.{ODD}.svc", "SRV"): (_srv(f"dual.{ODD}.svc", 5432), NXDOMAIN),
            (f"_sql.tcp.dual.{ODD}.svc", "SRV"): (_srv(f"dual.{ODD}.svc", 5432), NXDOMAIN),
            (f"_._tcp.dual.{ODD}.svc", "SRV"): (_srv(f"dual.{ODD}.svc", 5432, 8080), NXDOMAIN),
        },
    ),
    Difference(
        shown="a port without a name has no SRV record",
        why="the specification has them for named ports; CoreDNS lists it at the service's name",
        said={
            (f"plain.{REAL}.svc", "SRV"): (_srv(f"plain.{REAL}.svc", 80), NODATA),
            (f"unnamed.{ODD}.svc", "SRV"): (
                _srv(f"unnamed.{ODD}.svc", 80, 81),
                _srv(f"unnamed.{ODD}.svc", 81),
            ),
            (f"nameless.{ODD}.svc", "SRV"): (_srv(f"10-0-4-1.east.nameless.{ODD}.svc", 80), NODATA),
        },
    ),
    Difference(
        shown="an endpoint's name has only addresses",
        why="the specification has no SRV there; CoreDNS gives one for each port",
        said={
            (f"a.east.pods.{ODD}.svc", "SRV"): (_srv(f"a.east.pods.{ODD}.svc", 5432, 8080), NODATA),
            (f"x.east.six-pods.{ODD}.svc", "SRV"): (_srv(f"x.east.six-pods.{ODD}.svc", 5432), NODATA),
        },
    ),
    Difference(
        shown="endpoints of a `ClusterSetIP` import have no names",
        why="the specification has them for headless ones; CoreDNS names what slices hold, such as gateways",
        said={
            (f"pod.east.sliced.{ODD}.svc", "A"): ("1: A 10.0.1.1", NXDOMAIN),
            (f"10-244-0-8.east.hello.{REAL}.svc", "A"): ("1: A 10.244.0.8", NXDOMAIN),
            (f"10-250-9-1.west.hello.{REAL}.svc", "A"): ("1: A 10.250.9.1", NXDOMAIN),
        },
    ),
    Difference(
        shown="an import without ports has a name",
        why="the specification has no such rule; CoreDNS denies it",
        said={
            (f"no-ports.{ODD}.svc", "A"): (NXDOMAIN, "1: A 10.96.1.3"),
            **_each((NXDOMAIN, NODATA), (f"no-ports.{ODD}.svc", "AAAA"), (f"no-ports.{ODD}.svc", "SRV")),
        },
    ),
    Difference(
        shown="an import without addresses has SRV records",
        why="its ports are known; CoreDNS has them only with an address",
        said={
            (f"{port}no-ips.{ODD}.svc", "SRV"): (NODATA, _srv(f"no-ips.{ODD}.svc", 5432))
            for port in ("", "_sql._tcp.")
        },
    ),
    Difference(
        shown="a slice whose cluster is no DNS label, or is missing, says nothing",
        why="its endpoints could have no names; CoreDNS gives their addresses, SRV targets that it denies "
        "where the id has a dot, and no answer at all to SRV where there is none",
        said={
            (f"no-cluster.{ODD}.svc", "A"): ("1: A 10.0.9.1", NXDOMAIN),
            (f"who.no-cluster.{ODD}.svc", "A"): ("1: A 10.0.9.1", NXDOMAIN),
            (f"no-cluster.{ODD}.svc", "SRV"): ("SILENCE", NXDOMAIN),
            (f"dotted-cluster.{ODD}.svc", "A"): ("1: A 10.0.10.1", NXDOMAIN),
            (f"dotted-cluster.{ODD}.svc", "SRV"): (
                _srv(f"who.east.eu.dotted-cluster.{ODD}.svc", 5432),
                NXDOMAIN,
            ),
        },
    ),
    Difference(
        shown="at most 200 records of a type",
        why="so that an answer fits into a message; the specification allows a choice. CoreDNS gives all",
        said=_each(
            (f"{MANY} records", "200 records"),
            *((f"many.{ODD}.svc", kind) for kind in ("A", "SRV")),
            (f"_sql._tcp.many.{ODD}.svc", "SRV"),
        ),
    ),
    NAME_SERVER,
    SRV_WEIGHTS,
)


def alike() -> Iterator[Question]:
    """All questions that both answer alike."""
    for kinds, names in _ALIKE.items():
        for name in names:
            yield from ((_full(name), kind) for kind in kinds)


def questions() -> list[Question]:
    """All questions, each once."""
    different = (placed(question) for one in DIFFERENCES for question in one.said)
    return list(dict.fromkeys((*alike(), *different, placed(("ns.dns", "A")))))


def table() -> str:
    """The differences as `docs/names.md` shows them."""
    return "".join(f"| {one.shown} | {one.why} |\n" for one in DIFFERENCES)


def placed(question: tuple[str, str]) -> Question:
    """A question of a difference, in the zone."""
    name, kind = question
    return _full(name), kind


def _full(name: str) -> str:
    return f"{name}.{CLUSTERSET_ZONE}" if name else CLUSTERSET_ZONE
