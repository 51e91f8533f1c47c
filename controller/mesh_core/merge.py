"""One import from many exports (KEP-1645, "Constraints and Conflict Resolution"; docs/conflicts.md).

1. The same records give the same import in every cluster, in whatever order they come.
2. Oldest first: by creationTimestamp of the ServiceExport, then by cluster id. There is no local
   advantage and no majority. A time before the cluster's admission in the signed roster counts as that
   admission (`counted`), our own too, so that every cluster ranks alike.
3. Ports are a union. A port that clashes with an older one, by name or by (protocol, port), is dropped,
   never renamed; its cluster then serves the other ports only.
4. Everything else is the oldest export's value as a whole; maps are not merged key by key.
5. Labels and annotations under kubernetes.io, k8s.io, x-k8s.io and meshctl.dev are never imported: they
   steer software here, and that is not a peer's to decide.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from mesh_core.objects import ImportPort, ImportSpec
from mesh_core.objects.service import ClientIPConfig, SessionAffinityConfig
from mesh_core.record import ExportRecord, RecordPort, Traffic

_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
RESERVED_DOMAINS: Final = ("kubernetes.io", "k8s.io", "x-k8s.io", "meshctl.dev")


@dataclass(frozen=True, slots=True)
class Conflict:
    """One property on which exports disagree; `reason` is mcs-api's constant."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class MergedImport:
    """What a ServiceImport says, but for its IPs, which are each cluster's own.

    `serving` gives for each exporting cluster, in order of their names, the ports of the import that it
    serves, and `losing` those of its ports that lost against an older export. `scopes` says where each
    cluster's zone names mean something.
    """

    spec: ImportSpec
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    serving: Mapping[str, tuple[RecordPort, ...]]
    losing: Mapping[str, tuple[RecordPort, ...]]
    conflicts: tuple[Conflict, ...]
    traffic: Traffic
    scopes: Mapping[str, str]


def merge(records: Iterable[ExportRecord]) -> MergedImport | None:
    """The import of one namespaced name; None when nobody exports it. One record a cluster at most."""
    ranked = sorted(records, key=lambda record: (record.created, record.cluster))
    if not ranked:
        return None
    oldest = ranked[0]
    union = _union(ranked)
    return MergedImport(
        spec=_spec(oldest, ports=union.ports),
        labels=_importable(oldest.exported_labels),
        annotations=_importable(oldest.exported_annotations),
        serving=dict(sorted(union.serving.items())),
        losing=dict(sorted(union.losing.items())),
        conflicts=_conflicts(ranked),
        traffic=Traffic(oldest.traffic),
        scopes={record.cluster: record.zone_scope for record in ranked},
    )


def counted(record: ExportRecord, *, admitted: str) -> ExportRecord:
    """The record with the time by which it is ranked (ruling 11).

    `admitted` is when the roster let its cluster in (RFC 3339, UTC), "" where nobody has said.
    """
    if record.created >= admitted or not _TIME.fullmatch(admitted):
        return record
    return msgspec.structs.replace(record, created=admitted)


def is_reserved(key: str) -> bool:
    """Whether a label or annotation key lies in a domain of Kubernetes' or ours (law 5)."""
    domain, slash, _name = key.partition("/")
    return bool(slash) and any(domain == d or domain.endswith(f".{d}") for d in RESERVED_DOMAINS)


@dataclass(frozen=True, slots=True)
class _Union:
    ports: tuple[RecordPort, ...]
    serving: dict[str, tuple[RecordPort, ...]]
    losing: dict[str, tuple[RecordPort, ...]]


def _union(ranked: Sequence[ExportRecord]) -> _Union:
    """Walks the exports from the oldest on; the first port with a name, and with a number, stays."""
    by_name: dict[str, RecordPort] = {}
    by_number: dict[tuple[str, int], RecordPort] = {}
    serving: dict[str, tuple[RecordPort, ...]] = {}
    losing: dict[str, tuple[RecordPort, ...]] = {}
    for record in ranked:
        taken: list[RecordPort] = []
        lost: list[RecordPort] = []
        for port in record.ports:
            number = (port.protocol, port.port)
            rival = by_name.get(port.name) or by_number.get(number) or _without_name(port, beside=by_name)
            if rival is None:
                by_name[port.name] = by_number[number] = rival = port
            # The application protocol is a hint: who differs in nothing else still serves the port.
            (taken if _place(rival) == _place(port) else lost).append(port)
        serving[record.cluster] = tuple(taken)
        if lost:
            losing[record.cluster] = tuple(lost)
    return _Union(ports=tuple(by_name.values()), serving=serving, losing=losing)


def _without_name(port: RecordPort, *, beside: Mapping[str, RecordPort]) -> RecordPort | None:
    """The port that keeps `port` out because one of the two has no name.

    A Service with several ports must name each, so a nameless port stands alone or not at all.
    """
    if "" in beside or (beside and not port.name):
        return next(iter(beside.values()))
    return None


def _place(port: RecordPort) -> tuple[str, str, int]:
    return port.name, port.protocol, port.port


def _spec(oldest: ExportRecord, *, ports: Iterable[RecordPort]) -> ImportSpec:
    timeout = oldest.session_affinity_timeout
    config = SessionAffinityConfig(client_ip=ClientIPConfig(timeout_seconds=timeout)) if timeout else None
    return ImportSpec(
        type=oldest.type,
        # A hint only: what an import's IPs are is its shadow Service's to say, but a headless one has none.
        ip_families=oldest.ip_families or ("IPv4",),
        ports=tuple(
            ImportPort(port=p.port, name=p.name, protocol=p.protocol, app_protocol=p.app_protocol)
            for p in ports
        ),
        session_affinity=oldest.session_affinity,
        session_affinity_config=config,
        internal_traffic_policy=oldest.internal_traffic_policy,
        traffic_distribution=oldest.traffic_distribution,
    )


def _importable(entries: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in sorted(entries.items()) if not is_reserved(key)}


@dataclass(frozen=True, slots=True)
class _Property:
    """A property on which exports may disagree: mcs-api's reason, its name, and how it is shown."""

    reason: str
    noun: str
    value: Callable[[ExportRecord], str]


_PROPERTIES: Final = (
    _Property("TypeConflict", "type", lambda record: record.type),
    _Property("PortConflict", "ports", lambda record: _shown_ports(record.ports)),
    _Property("SessionAffinityConflict", "session affinity", lambda record: record.session_affinity),
    _Property(
        "SessionAffinityConfigConflict",
        "session affinity timeout",
        lambda record: str(record.session_affinity_timeout),
    ),
    _Property(
        "InternalTrafficPolicyConflict",
        "internal traffic policy",
        lambda record: str(record.internal_traffic_policy),
    ),
    _Property(
        "TrafficDistributionConflict",
        "traffic distribution",
        lambda record: str(record.traffic_distribution),
    ),
    _Property("IPFamilyConflict", "IP families", lambda record: ",".join(sorted(record.ip_families))),
    _Property("TrafficConflict", "traffic annotation", lambda record: record.traffic),
    _Property("LabelsConflict", "exported labels", lambda record: _shown_map(record.exported_labels)),
    _Property(
        "AnnotationsConflict",
        "exported annotations",
        lambda record: _shown_map(record.exported_annotations),
    ),
)
# So many clusters, and so many characters of a value, are spelled out in a message.
_MOST_NAMES = 5
_MOST_CHARACTERS = 120


def _conflicts(ranked: Sequence[ExportRecord]) -> tuple[Conflict, ...]:
    if len(ranked) == 1:
        return ()
    found = (_conflict(ranked, disputed=disputed) for disputed in _PROPERTIES)
    return tuple(conflict for conflict in found if conflict is not None)


def _conflict(ranked: Sequence[ExportRecord], *, disputed: _Property) -> Conflict | None:
    oldest = ranked[0]
    value = disputed.value(oldest)
    others = sorted(record.cluster for record in ranked if disputed.value(record) != value)
    if not others:
        return None
    names = ", ".join(others[:_MOST_NAMES]) + (", ..." if len(others) > _MOST_NAMES else "")
    used = "The union is used, older exports first" if disputed.noun == "ports" else "The oldest export wins"
    shown = value if len(value) <= _MOST_CHARACTERS else f"{value[:_MOST_CHARACTERS]}..."
    return Conflict(
        reason=disputed.reason,
        message=(
            f"Conflicting {disputed.noun}. {used}: {oldest.cluster} has {shown}. "
            f"{len(others)}/{len(ranked)} clusters disagree: {names}."
        ),
    )


def _shown_ports(ports: Iterable[RecordPort]) -> str:
    """The ports as a set, in one spelling."""
    texts = (f"{p.name or '-'} {p.port}/{p.protocol} {p.app_protocol or ''}".rstrip() for p in ports)
    return "{" + ", ".join(sorted(texts)) + "}"


def _shown_map(entries: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{key}={value!r}" for key, value in sorted(entries.items())) + "}"
