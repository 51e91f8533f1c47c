"""What the zone says of one imported service, as a value.

`mesh_dns.imports` makes it from a ServiceImport and `mesh_dns.endpoints` from slices; `mesh_dns.table` spells
it out as names and records, in the order given here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mesh_dns.wire import Address


class Host(NamedTuple):
    """One endpoint of a headless import: the name `<label>.<cluster>` below the service's own."""

    label: str
    cluster: str


class PortName(NamedTuple):
    """A named port: the name `_<name>._<protocol>` below the service's own; `protocol` is in lower case."""

    name: str
    protocol: str


class Target(NamedTuple):
    """Where an SRV record points: a port of a host, or of the service's own name when `host` is None."""

    host: Host | None
    port: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A service's name exists; this is what it and the names below it hold.

    `addresses` and `targets` are the service's own, `hosts` and `ports` make the names below it; `targets`
    are those of all ports, each once. Their order is turned from question to question; where `stretches` are
    given, lengths of pieces of `addresses` that follow each other, only within each of these, and targets
    only within those of one cluster. Labels in here are DNS labels and whole names fit: whoever makes an
    Entry has seen to that.
    """

    addresses: tuple[Address, ...] = ()
    hosts: Mapping[Host, tuple[Address, ...]] = field(default_factory=dict)
    ports: Mapping[PortName, tuple[Target, ...]] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    stretches: tuple[int, ...] = ()
