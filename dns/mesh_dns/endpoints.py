"""What the EndpointSlices of a headless import say in DNS (KEP-1645, section DNS).

1. Only ready endpoints count; one that says nothing of its readiness is ready. One that several slices list
   is one, and ready when it is in any of them.
2. An endpoint's name is its hostname, else its address with dashes, below its cluster's id. The hostname
   comes from a peer in the end, so one that is no DNS label is taken for none.
3. A slice without the id of a cluster that is a DNS label is no slice of the standard and says nothing.
4. Where there are more endpoints than an answer holds, the clusters take turns, and within each the named,
   the IPv4 and the IPv6 endpoints: no peer can crowd out another by the number of its endpoints, and A,
   AAAA and SRV speak of the same ones.
5. A service has at most `MOST_TARGETS` SRV records at its ports. Where it would have more, each endpoint has
   its first port, and then the ports take turns: none of either is without.
6. The order depends on the endpoints only, not on how slices divide them; where `places` of clusters are
   given, the nearest cluster comes first. Which endpoints are chosen does not depend on that.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, groupby, islice, zip_longest
from typing import NamedTuple, TypeVar

from mesh_core.names import CLUSTERSET_ZONE, LABEL_SOURCE_CLUSTER, endpoint_label
from mesh_core.objects import Endpoint, EndpointSlice
from mesh_dns.entry import Entry, Host, PortName, Target
from mesh_dns.imports import MOST_ADDRESSES, MOST_PORTS, addresses, is_label, is_port, port_name
from mesh_dns.wire import LONGEST_NAME, MOST_RECORDS, Address

MOST_HOSTS = 10_000
"""Endpoints of one service that have a name of their own; Kubernetes is made for 5,000 a Service."""

MOST_TARGETS = 2000
"""SRV records at the ports of one service: 200 endpoints with 10 ports each have all of theirs. A record may
have 300 bytes, and it is the peer who says how many ports there are."""

_LONGEST_TEXT = LONGEST_NAME - 2  # on the wire, each dot is a length, with one more before and a 0 behind

T = TypeVar("T")


class _Kind(NamedTuple):
    """Who takes turns: of one cluster, the endpoints with a hostname (0), and those without by IP version."""

    cluster: str
    version: int


@dataclass(slots=True)
class _Found:
    """What all slices together say of one host."""

    kind: _Kind
    addresses: set[Address] = field(default_factory=set)
    ports: dict[PortName, int] = field(default_factory=dict)

    def add(self, address: Address, *, kind: _Kind, ports: Iterable[tuple[PortName, int]]) -> None:
        """Note that a slice lists the host.

        Somebody's hostname may be another's address with dashes, and several may share one: who takes turns
        and which number a port has is then the lowest, so that one host has one record for each port.
        """
        self.kind = min(self.kind, kind)
        self.addresses.add(address)
        for name, number in ports:
            self.ports[name] = min(number, self.ports.get(name, number))


def headless_entry(
    slices: Iterable[EndpointSlice],
    *,
    namespace: str,
    service: str,
    places: Mapping[str, int] | None = None,
) -> Entry | None:
    """What the zone says of a headless import; None when no endpoint is ready: no such name.

    With `places` clusters come in their order, those that have none first.
    """
    found = _found(slices)
    if not found:
        return None
    turns = islice(_in_turns(_kinds(found)), MOST_HOSTS)
    hosts = {host: _ordered(found[host].addresses) for host in turns}
    chosen = _fitting(hosts)
    room = _LONGEST_TEXT - len(f"..{service}.{namespace}.svc.{CLUSTERSET_ZONE}")
    named = {host: known for host, known in hosts.items() if len(host.label) + len(host.cluster) <= room}
    # An address without a name of its own has nothing that an SRV record could point to.
    pointed = _pointed([host for host in chosen if host in named], found=found)
    if places is not None:
        chosen.sort(key=lambda host: (places.get(host.cluster, 0), host.cluster))
    ports: dict[PortName, list[Target]] = {}
    targets: dict[str, list[list[Target]]] = {}
    for host in (one for one in chosen if one in pointed):
        own = {name: Target(host, found[host].ports[name]) for name in pointed[host]}
        for name, target in own.items():
            ports.setdefault(name, []).append(target)
        cluster = host.cluster if places is not None else ""
        targets.setdefault(cluster, []).append(list(dict.fromkeys(own.values())))
    known = dict.fromkeys(chain.from_iterable(hosts[host] for host in chosen))
    return Entry(
        addresses=tuple(known),
        hosts=named,
        ports={name: tuple(ports[name]) for name in sorted(ports)},
        targets=tuple(chain.from_iterable(map(_in_turns, targets.values()))),
        stretches=_stretches(chosen, hosts=hosts) if places is not None else (),
    )


def _stretches(chosen: Iterable[Host], *, hosts: Mapping[Host, tuple[Address, ...]]) -> tuple[int, ...]:
    """How many addresses each cluster has, of those that none before it has."""
    seen: set[Address] = set()
    found: list[int] = []
    for _, own in groupby(chosen, key=lambda host: host.cluster):
        before = len(seen)
        seen.update(chain.from_iterable(hosts[host] for host in own))
        found.append(len(seen) - before)
    return tuple(length for length in found if length)


def _found(slices: Iterable[EndpointSlice]) -> dict[Host, _Found]:
    found: dict[Host, _Found] = {}
    of_cluster: Counter[str] = Counter()
    for piece in slices:
        cluster = piece.metadata.labels.get(LABEL_SOURCE_CLUSTER, "")
        if not is_label(cluster):
            continue
        ports = _ports(piece)
        for endpoint in piece.endpoints or ():
            if not endpoint.is_ready:
                continue
            hostname = _hostname(endpoint)
            for address in addresses(endpoint.addresses):
                host = Host(endpoint_label(hostname=hostname, address=str(address)), cluster)
                kind = _Kind(cluster, 0 if hostname else address.version)
                if host not in found:
                    # Beyond this none of a cluster has a name, however the turns go; looking costs.
                    if of_cluster[cluster] >= MOST_HOSTS:
                        continue
                    of_cluster[cluster] += 1
                    found[host] = _Found(kind)
                found[host].add(address, kind=kind, ports=ports)
    return found


def _hostname(endpoint: Endpoint) -> str | None:
    return endpoint.hostname if endpoint.hostname and is_label(endpoint.hostname) else None


def _ports(piece: EndpointSlice) -> set[tuple[PortName, int]]:
    """The ports of a slice that SRV records can say; one without a number means all ports, and so none."""
    named = ((port_name(port), port.port) for port in piece.ports or ())
    return {(name, port) for name, port in named if name is not None and port is not None and is_port(port)}


def _kinds(found: Mapping[Host, _Found]) -> list[list[Host]]:
    kinds: dict[_Kind, list[Host]] = {}
    for host in sorted(found):
        kinds.setdefault(found[host].kind, []).append(host)
    return [kinds[kind] for kind in sorted(kinds)]


def _port_names(found: Mapping[Host, _Found]) -> set[PortName]:
    """The named ports, at most `MOST_PORTS`; where there are more the clusters take turns."""
    named: dict[str, set[PortName]] = {}
    for host, one in found.items():
        named.setdefault(host.cluster, set()).update(one.ports)
    turns = _in_turns(sorted(named[cluster]) for cluster in sorted(named))
    return set(islice(dict.fromkeys(turns), MOST_PORTS))


def _pointed(chosen: Iterable[Host], *, found: Mapping[Host, _Found]) -> dict[Host, list[PortName]]:
    """The ports of each host that SRV records point to, in the order of their names (law 5)."""
    names = _port_names(found)
    first: list[tuple[Host, PortName]] = []
    hosts: dict[PortName, list[tuple[Host, PortName]]] = {}
    for host in chosen:
        own = sorted(names & found[host].ports.keys())
        first += [(host, name) for name in own[:1]]
        for name in own:
            hosts.setdefault(name, []).append((host, name))
    turns = _in_turns(hosts[name] for name in sorted(hosts))
    pointed: dict[Host, list[PortName]] = {}
    for host, name in islice(dict.fromkeys(chain(first, turns)), MOST_TARGETS):
        pointed.setdefault(host, []).append(name)
    return {host: sorted(own) for host, own in pointed.items()}


def _in_turns(groups: Iterable[list[T]]) -> Iterator[T]:
    """The first of each group, then the second of each, and so on."""
    return (one for turn in zip_longest(*groups) for one in turn if one is not None)


def _ordered(found: set[Address]) -> tuple[Address, ...]:
    """IPv4 before IPv6, by number; of each at most `MOST_ADDRESSES`."""
    families: dict[int, list[Address]] = {4: [], 6: []}
    for one in found:
        families[one.version].append(one)
    return tuple(
        one for own in families.values() for one in sorted(own, key=lambda it: it.packed)[:MOST_ADDRESSES]
    )


def _fitting(hosts: Mapping[Host, tuple[Address, ...]]) -> list[Host]:
    """The first hosts, up to the first whose addresses an answer of their family would not hold whole."""
    chosen: list[Host] = []
    seen: set[Address] = set()
    count = {4: 0, 6: 0}
    for host, own in hosts.items():
        new = [one for one in own if one not in seen]
        for one in new:
            count[one.version] += 1
        if max(count.values()) > MOST_RECORDS or len(chosen) == MOST_RECORDS:
            break
        seen.update(new)
        chosen.append(host)
    return chosen
