"""Checks of endpoints: exports have some, imports lead to some, and both are the same. Pure.

What a cluster ought to tell of an export is computed by the code that its controller tells it with; what it
told is what the others have stored.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from mesh_cli.check.findings import Findings, RecordSeen
from mesh_cli.check.verdict import CouldNotLook, Observed, Unseen, fail, ok, seen, unknown, warn
from mesh_core.chunks import Chunk, chunks_of
from mesh_core.export import decide, is_exported
from mesh_core.export_record import Exporter
from mesh_core.import_view import is_ours
from mesh_core.membership import Membership
from mesh_core.names import (
    LABEL_KUBERNETES_SERVICE,
    LABEL_SERVICE_NAME,
    LABEL_SOURCE_CLUSTER,
    shadow_service_name,
)
from mesh_core.objects import EndpointSlice, MeshPeer, ServiceExport, ServiceImport
from mesh_core.peer_status import RECORDS_ACCEPTED
from mesh_core.reach import REACHABLE
from mesh_core.record import ExportRecord

Key = tuple[str, str]
"""(namespace, name)."""

_MOST: Final = 20
_LOG: Final = "look whether the controller runs, and into its log: MESH-GW-002"


def exported(findings: Findings) -> Iterator[Observed]:
    """MESH-SVC-004."""
    records = _own_records(findings)
    empty = [record for record in records.values() if not any(port.ready for port in record.ports)]
    for record in empty[:_MOST]:
        yield warn(
            "/".join(record.key),
            seen="is exported and has no endpoint that is ready, so nobody is sent to this cluster",
            next_step=f"kubectl -n {record.namespace} get endpointslices,pods: look at its selector and pods",
        )
    if not empty:
        yield ok("exports", seen=f"{len(records)}, each with an endpoint that is ready")


def imported(findings: Findings) -> Iterator[Observed]:
    """MESH-SVC-005."""
    cluster = _cluster(findings)
    imports = {one.key: one for one in seen(findings.imports)}
    shadows = {one.key for one in seen(findings.shadows)}
    namespaces = seen(findings.namespaces)
    lost = {one.metadata.name for one in seen(findings.peers) if _says(one, kind=REACHABLE) == "False"}
    ready = _ready_slices(seen(findings.slices))
    bad = 0
    for record in seen(findings.records):
        if record.cluster == cluster or record.key[0] not in namespaces or not any(record.key):
            continue
        found = imports.get(record.key)
        why, advice = _lack(record, found, shadows=shadows, ready=ready, cluster=cluster, lost=lost)
        if why:
            bad += 1
            if bad <= _MOST:
                yield fail(f"{'/'.join(record.key)} of {record.cluster}", seen=why, next_step=advice)
    if bad > _MOST:
        yield fail("others", seen=f"{bad - _MOST} more of them", next_step=_LOG)
    if not bad:
        yield ok("imports", seen="each record whose namespace is here has its import and its endpoints")


def agreement(findings: Findings) -> Iterator[Observed]:
    """MESH-SVC-006."""
    cluster, own = _cluster(findings), _own_records(findings)
    peers = {one.metadata.name for one in seen(findings.peers)}
    asked = 0
    for name, other in sorted(findings.others.items()):
        their = _named(other)
        if their is None or (isinstance(their, str) and their not in peers):
            if their is None:
                asked += 1
                yield unknown(name, seen="which cluster it is was not seen", next_step=f"check {name} first")
            continue
        asked += 1
        if isinstance(other.records, Unseen) or isinstance(other.peers, Unseen):
            why = other.records.why if isinstance(other.records, Unseen) else "its peers were not seen"
            yield unknown(their, seen=why, next_step=f"check {name} first")
            continue
        stored = {one.key: one for one in other.records if one.cluster == cluster}
        refuses = any(
            _says(one, kind=RECORDS_ACCEPTED) == "False"
            for one in other.peers
            if one.metadata.name == cluster
        )
        yield from _compared(their, own=own, stored=stored, refuses=refuses)
    if not asked:
        yield ok("other clusters", seen="no other was asked; give several --context to compare")


def digest(sets: Mapping[Key, tuple[tuple[str, int, str, int], ...]]) -> str:
    """Twelve characters that two clusters have alike when they know the same of all endpoint sets."""
    text = "\n".join(f"{key} {ports}" for key, ports in sorted(sets.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def ports_of(record: ExportRecord) -> tuple[tuple[str, int, str, int], ...]:
    """(name, port, protocol, how many are ready) of each port, in order."""
    return tuple(sorted((port.name, port.port, port.protocol, port.ready) for port in record.ports))


def _compared(
    their: str, *, own: Mapping[Key, ExportRecord], stored: Mapping[Key, RecordSeen], refuses: bool
) -> Iterator[Observed]:
    wanted = {key: ports_of(record) for key, record in own.items()}
    have = {key: record.ports for key, record in stored.items()}
    missing, more = sorted(wanted.keys() - have.keys()), sorted(have.keys() - wanted.keys())
    other = sorted(key for key in wanted.keys() & have.keys() if wanted[key] != have[key])
    for keys, words in (
        (missing, "is exported here and not known there"),
        (more, "is known there and not exported here"),
        (other, "has other endpoints there than here"),
    ):
        for key in keys[:_MOST]:
            judge = warn if refuses and keys is missing else fail
            advice = f"see MESH-PEER-001 to MESH-PEER-003 of {their}; it settles within seconds"
            yield judge(f"{'/'.join(key)} in {their}", seen=words, next_step=advice)
    if not (missing or more or other):
        yield ok(their, seen=f"knows the same {len(wanted)} endpoint sets, digest {digest(wanted)}")


def _lack(
    record: RecordSeen,
    found: ServiceImport | None,
    *,
    shadows: set[Key],
    ready: set[tuple[Key, str]],
    cluster: str,
    lost: set[str],
) -> tuple[str, str]:
    """What an import lacks for that record, and what to do; ("", "") for nothing."""
    namespace, name = record.key
    if found is None:
        return "its record is here, and so is the namespace, but no ServiceImport", _LOG
    if not is_ours(found):
        return "", ""
    if found.spec.type == "ClusterSetIP":
        if (namespace, shadow_service_name(namespace=namespace, name=name)) not in shadows:
            return "its ServiceImport is here, but not the Service behind it", _LOG
        if not found.spec.ips:
            return "its ServiceImport has no address", _LOG
    if record.cluster not in {entry.cluster for entry in found.status.clusters}:
        return "its record is here, but the ServiceImport does not name that cluster", _LOG
    if not any(port[3] for port in record.ports) or record.traffic == "local-first":
        return "", ""
    if not record.is_for(cluster):
        return "", ""
    if (record.key, record.cluster) in ready:
        return "", ""
    if record.cluster in lost:
        return "none of its endpoints is used, because the cluster is not reached", "see MESH-PEER-009"
    return "it says that it has endpoints, and no EndpointSlice here leads to one", _LOG


def _ready_slices(slices: Iterable[EndpointSlice]) -> set[tuple[Key, str]]:
    """Imports and source clusters for which some endpoint is ready."""
    return {
        (
            (piece.metadata.namespace, piece.metadata.labels.get(LABEL_SERVICE_NAME, "")),
            piece.metadata.labels.get(LABEL_SOURCE_CLUSTER, ""),
        )
        for piece in slices
        if any(one.is_ready for one in piece.endpoints or ())
    }


def _own_records(findings: Findings) -> dict[Key, ExportRecord]:
    """What this cluster ought to tell of its exports."""
    exporter, services = (
        Exporter(cluster=_cluster(findings)),
        {one.key: one for one in seen(findings.services)},
    )
    pieces: dict[Key, list[Chunk]] = {}
    for piece in seen(findings.sources):
        key = piece.metadata.namespace, piece.metadata.labels.get(LABEL_KUBERNETES_SERVICE, "")
        pieces.setdefault(key, []).extend(chunks_of(piece))
    found: dict[Key, ExportRecord] = {}
    for export in sorted(filter(_stands, seen(findings.exports)), key=lambda one: one.key):
        decision = decide(
            export,
            service=services.get(export.key),
            chunks=pieces.get(export.key, ()),
            exporter=exporter,
        )
        if decision.record is not None:
            found[export.key] = decision.record
    return found


def _stands(export: ServiceExport) -> bool:
    return is_exported(export)


def _cluster(findings: Findings) -> str:
    membership = seen(findings.member).membership
    if not isinstance(membership, Membership):
        raise CouldNotLook(f"this cluster is not a member: {membership.why}")
    return membership.cluster


def _named(findings: Findings) -> str | None:
    """The cluster id; None when it was not seen, "" of one that is no member."""
    if isinstance(findings.member, Unseen):
        return None
    membership = findings.member.membership
    return membership.cluster if isinstance(membership, Membership) else ""


def _says(peer: MeshPeer, *, kind: str) -> str:
    return next((one.status for one in peer.status.conditions if one.type == kind), "")
