"""Keeping what was last accepted of a peer's Service in the API: ImportedRecord and ImportedShard.

Imports are computed from these objects and from nothing else, so a restart with a peer down computes
the same. One goes only when its peer says so, when our own policy does not take it any more, or when the
peer itself is taken out of the clusterset.

Written by create and by a merge patch that names the version seen: half the work of server-side apply for
the API server, and the objects are ours alone.
"""

from mesh_core.names import (
    ANNOTATION_SIGNATURE,
    ANNOTATION_SIGNED_BY,
    LABEL_SOURCE_CLUSTER,
    SYSTEM_NAMESPACE,
    imported_record_name,
    imported_shard_name,
)
from mesh_core.objects import ImportedRecord, ImportedShard
from mesh_core.peer_view import Absence, Wanted
from mesh_core.plan import Create, Json, Kind, Plan, as_json, deletion, difference, patch
from mesh_core.record import ExportRecord, Shard

Imported = ImportedRecord | ImportedShard


def plan_imported(seen: Imported | None, *, standing: Wanted | Absence) -> Plan:
    """The write that makes `seen` what the peer says, if one is due."""
    match standing:
        case Wanted():
            return _create(standing) if seen is None else _change(seen, wanted=standing)
        case Absence.GONE:
            return () if seen is None else (deletion(_kind(seen.spec), seen),)
        case Absence.UNKNOWN:
            return ()


def is_ours(seen: Imported) -> bool:
    """Whether this object is one that we wrote: name and label say what the record or shard says."""
    return seen.metadata.name == stored_name(seen.spec) and _is_labelled(seen)


def stored_name(entry: ExportRecord | Shard) -> str:
    """The name of the object that holds it."""
    cluster, namespace, service = entry.cluster, entry.namespace, entry.name
    if isinstance(entry, ExportRecord):
        return imported_record_name(cluster=cluster, namespace=namespace, service=service)
    return imported_shard_name(cluster=cluster, namespace=namespace, service=service, shard=entry.shard)


def _create(wanted: Wanted) -> Plan:
    entry = wanted.entry
    metadata = {"namespace": SYSTEM_NAMESPACE, "name": stored_name(entry), "labels": _labels(entry)}
    if wanted.signature is not None:
        metadata["annotations"] = _annotations(wanted)
    return (Create(kind=_kind(entry), body={"metadata": metadata, "spec": as_json(entry)}),)


def _change(seen: Imported, *, wanted: Wanted) -> Plan:
    """A signature goes with what it was made of: the same record signed anew is no change."""
    entry, body, metadata = wanted.entry, Json(), Json()
    if seen.spec != entry:
        body["spec"] = difference(before=as_json(seen.spec), after=as_json(entry))
        before = {name: seen.metadata.annotations.get(name) for name in _annotations(wanted)}
        if before != _annotations(wanted):
            metadata["annotations"] = _annotations(wanted)
    if not _is_labelled(seen):
        metadata["labels"] = _labels(entry)
    if metadata:
        body["metadata"] = metadata
    return patch(_kind(entry), seen, body=body)


def _annotations(wanted: Wanted) -> Json:
    """The signature as it is kept, or, for a merge patch, that there is none."""
    signature = wanted.signature
    return {
        ANNOTATION_SIGNATURE: signature.text if signature is not None else None,
        ANNOTATION_SIGNED_BY: signature.leaf if signature is not None else None,
    }


def _is_labelled(seen: Imported) -> bool:
    return seen.metadata.labels.get(LABEL_SOURCE_CLUSTER) == seen.spec.cluster


def _labels(entry: ExportRecord | Shard) -> Json:
    return {LABEL_SOURCE_CLUSTER: entry.cluster}


def _kind(entry: ExportRecord | Shard) -> Kind:
    return Kind.IMPORTED_RECORD if isinstance(entry, ExportRecord) else Kind.IMPORTED_SHARD
