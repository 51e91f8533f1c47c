"""What the zone said last, on disk: for a start while the API server is away.

    first line    {"version":1,"heard":1764000000.0,"name_server":["10.96.0.53"]}
    each other    one service: ["demo","db",[addresses],[hosts],[ports],[targets],[stretches]]

1. A file that is not whole (`mesh_runtime.snapshot_file`), of another version, or with a name in it that is
   no DNS label, counts as none.
2. It has at most `MOST_BYTES`: more is neither written nor read.
3. Only names, addresses and ports are in it, which anybody in the cluster may ask for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import msgspec

from mesh_dns.entry import Entry, Host, PortName, Target
from mesh_dns.imports import LONGEST_PORT_NAME, is_label, is_port, is_spellable
from mesh_dns.wire import LONGEST_LABEL, Address
from mesh_runtime.snapshot_file import UnreadableSnapshot, read_lines, write_lines

FILE_NAME = "names.snapshot"
VERSION = 1
MOST_BYTES = 4 << 20
"""About 60,000 endpoints or 90,000 services, which take some 130 MiB of memory when they are read; the
manifest limits a pod to 256, and its volume to more than two of these."""
_WHAT = "names"

Key = tuple[str, str]
"""(namespace, name) of a ServiceImport."""


@dataclass(frozen=True, slots=True)
class Zone:
    """What the zone said when the API server was heard last, at `heard` (seconds of the Unix epoch)."""

    heard: float
    entries: Mapping[Key, Entry] = field(default_factory=dict)
    name_server: tuple[Address, ...] = ()


_Place = Annotated[int, msgspec.Meta(ge=0)]


class _Head(msgspec.Struct, frozen=True):
    version: int
    heard: float = 0.0
    name_server: tuple[str, ...] = ()


class _Host(msgspec.Struct, frozen=True, array_like=True):
    label: str
    cluster: str
    addresses: tuple[str, ...]


class _Port(msgspec.Struct, frozen=True, array_like=True):
    """`targets` are places in those of the service."""

    name: str
    protocol: str
    targets: tuple[_Place, ...]


class _Target(msgspec.Struct, frozen=True, array_like=True):
    """Without a label it is the service's own name."""

    port: int
    label: str = ""
    cluster: str = ""


class _Service(msgspec.Struct, frozen=True, array_like=True):
    namespace: str
    name: str
    addresses: tuple[str, ...]
    hosts: tuple[_Host, ...]
    ports: tuple[_Port, ...]
    targets: tuple[_Target, ...]
    stretches: tuple[_Place, ...] = ()


_encoder = msgspec.json.Encoder()
_heads = msgspec.json.Decoder(_Head)
_services = msgspec.json.Decoder(_Service)


def write_snapshot(zone: Zone, *, folder: Path) -> None:
    """Replaces the snapshot in `folder`; blocks, so call it in a thread.

    Raises OSError, also where the zone is too large; then the one of before stays.
    """
    write_lines(_lines(zone), path=folder / FILE_NAME, most=MOST_BYTES)


def read_snapshot(folder: Path) -> Zone | None:
    """What the snapshot in `folder` holds; None when there is none. Raises UnreadableSnapshot."""
    lines = read_lines(folder / FILE_NAME, what=_WHAT, most=MOST_BYTES)
    if lines is None:
        return None
    try:
        return _zone(lines)
    except (msgspec.MsgspecError, ValueError, IndexError) as error:
        raise UnreadableSnapshot(_WHAT, why=str(error)) from error


def _lines(zone: Zone) -> Iterator[bytes]:
    yield _encoder.encode(_Head(VERSION, zone.heard, tuple(map(str, zone.name_server))))
    for (namespace, name), entry in zone.entries.items():
        places = {target: place for place, target in enumerate(entry.targets)}
        service = _Service(
            namespace,
            name,
            addresses=tuple(map(str, entry.addresses)),
            hosts=tuple(_Host(*host, tuple(map(str, known))) for host, known in entry.hosts.items()),
            ports=tuple(
                _Port(*port, tuple(places[one] for one in targets)) for port, targets in entry.ports.items()
            ),
            targets=tuple(_Target(one.port, *(one.host or ())) for one in entry.targets),
            stretches=entry.stretches,
        )
        yield _encoder.encode(service)


def _zone(lines: list[bytes]) -> Zone:
    head = _heads.decode(lines[0])
    if head.version != VERSION:
        raise UnreadableSnapshot(_WHAT, why=f"it is of version {head.version}")
    entries: dict[Key, Entry] = {}
    for line in lines[1:]:
        service = _services.decode(line)
        if not is_spellable(namespace=service.namespace, name=service.name):
            raise UnreadableSnapshot(_WHAT, why="an import has no DNS name")
        entries[service.namespace, service.name] = _entry(service)
    return Zone(head.heard, entries, _addresses(head.name_server))


def _entry(service: _Service) -> Entry:
    targets = tuple(
        Target(_host(one.label, one.cluster) if one.label else None, _port(one.port))
        for one in service.targets
    )
    if service.stretches and sum(service.stretches) != len(service.addresses):
        raise ValueError("stretches that are not all addresses")
    return Entry(
        addresses=_addresses(service.addresses),
        hosts={_host(one.label, one.cluster): _addresses(one.addresses) for one in service.hosts},
        ports={
            PortName(_label(one.name, longest=LONGEST_PORT_NAME), _label(one.protocol)): tuple(
                targets[place] for place in one.targets
            )
            for one in service.ports
        },
        targets=targets,
        stretches=service.stretches,
    )


def _host(label: str, cluster: str) -> Host:
    return Host(_label(label), _label(cluster))


def _label(text: str, *, longest: int = LONGEST_LABEL) -> str:
    if not is_label(text) or len(text) > longest:
        raise ValueError(f"{text!r} is no DNS label")
    return text


def _port(number: int) -> int:
    if not is_port(number):
        raise ValueError(f"{number} is no port")
    return number


def _addresses(texts: tuple[str, ...]) -> tuple[Address, ...]:
    return tuple(map(ip_address, texts))
