"""What a ServiceImport says in DNS: which name, which addresses, which ports (KEP-1645, section DNS).

1. An import of type ClusterSetIP has a name from the moment it exists, so one without addresses yet is an
   existing name without records, not a missing one. An import of type Headless has its name from its
   endpoints (`mesh_dns.endpoints`), an import of another type has none.
2. An object name that is no DNS label is never spelled into a name: an import `a.b` in namespace `c` would
   answer for `a.b.c.svc...`, which the standard reserves for the cluster `a` of a Service `b`.
3. Text that is no address is left out, and so is a port that no SRV record can say.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

from mesh_core.objects import EndpointPort, ImportPort, ServiceImport
from mesh_dns.entry import Entry, PortName, Target
from mesh_dns.wire import Address

MOST_ADDRESSES = 16
"""Addresses that an import or one endpoint may bring; the standard's CRD allows 2, another CRD may allow
more, and for an endpoint only the first has a defined meaning."""

MOST_PORTS = 100
"""Named ports of one service; the API allows as many in one EndpointSlice."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LONGEST_PORT_NAME = 62  # the underscore before it is part of the label
_PROTOCOLS = frozenset({"TCP", "UDP", "SCTP"})


def is_label(text: str) -> bool:
    """Whether `text` is a DNS label as Kubernetes writes them, in lower case."""
    return _LABEL.fullmatch(text) is not None


def is_spellable(*, namespace: str, name: str) -> bool:
    """Whether an import of that name can have a DNS name at all."""
    return is_label(name) and is_label(namespace)


def is_clusterset_ip(imported: ServiceImport) -> bool:
    """Whether the import answers with the addresses in its own spec."""
    return imported.spec.type == "ClusterSetIP"


def is_headless(imported: ServiceImport) -> bool:
    """Whether the import answers with the addresses of its endpoints."""
    return imported.spec.type == "Headless"


def clusterset_ip_entry(imported: ServiceImport) -> Entry:
    """What the zone says of an import of type ClusterSetIP.

    Without ports it still has its addresses; CoreDNS denies the name then, for no reason of the standard.
    """
    ports: dict[PortName, dict[Target, None]] = {}
    for port in imported.spec.ports:
        name = port_name(port)
        if name is not None and is_port(port.port) and (name in ports or len(ports) < MOST_PORTS):
            ports.setdefault(name, {})[Target(None, port.port)] = None
    return Entry(
        addresses=addresses(imported.spec.ips),
        ports={name: tuple(targets) for name, targets in ports.items()},
        # The suite asks the bare name and wants 42/tcp and 42/udp as one record.
        targets=tuple(dict.fromkeys(target for targets in ports.values() for target in targets)),
    )


def addresses(texts: Iterable[str]) -> tuple[Address, ...]:
    """The addresses among `texts` in their order, each once, at most `MOST_ADDRESSES`."""
    found = (_address(text) for text in texts)
    return tuple(dict.fromkeys(one for one in found if one is not None))[:MOST_ADDRESSES]


def port_name(port: ImportPort | EndpointPort) -> PortName | None:
    """The name that SRV records of this port have; None for one without a name that can be spelled."""
    name = port.name or ""
    if len(name) > LONGEST_PORT_NAME or not is_label(name) or port.protocol not in _PROTOCOLS:
        return None
    return PortName(name, port.protocol.lower())


def is_port(number: int) -> bool:
    """Whether something can listen there."""
    return 0 < number < 1 << 16


def _address(text: str) -> Address | None:
    if "%" in text:
        return None  # a zone index means something on one machine only
    try:
        return IPv6Address(text) if ":" in text else IPv4Address(text)
    except ValueError:
        return None
