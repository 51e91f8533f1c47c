"""Keeping the last accepted record of a peer's Service in the API (ImportedRecord).

Imports are computed from these objects and from nothing else, so a restart with a peer down computes
the same. One goes only when its peer says so, or when the peer itself is taken out of the clusterset.
"""

from mesh_core.names import (
    LABEL_SOURCE_CLUSTER,
    MANAGER,
    SYSTEM_NAMESPACE,
    imported_record_name,
)
from mesh_core.objects import ImportedRecord
from mesh_core.peer_view import Absence, Wanted
from mesh_core.plan import Apply, Kind, Plan, as_json, deletion
from mesh_core.record import ExportRecord

RECORD_MANAGER = f"records.{MANAGER}"


def plan_record(seen: ImportedRecord | None, *, standing: Wanted | Absence) -> Plan:
    """The write that makes `seen` what the peer says, if one is due."""
    match standing:
        case Wanted(record=record):
            return () if _states(seen, record=record) else (_apply(record),)
        case Absence.GONE:
            return () if seen is None else (deletion(Kind.IMPORTED_RECORD, seen),)
        case Absence.UNKNOWN:
            return ()


def is_record(seen: ImportedRecord) -> bool:
    """Whether this object is one that we wrote: name and label say what the record says."""
    spec = seen.spec
    name = imported_record_name(cluster=spec.cluster, namespace=spec.namespace, service=spec.name)
    return seen.metadata.name == name and seen.metadata.labels.get(LABEL_SOURCE_CLUSTER) == spec.cluster


def _states(seen: ImportedRecord | None, *, record: ExportRecord) -> bool:
    return seen is not None and seen.spec == record and is_record(seen)


def _apply(record: ExportRecord) -> Apply:
    name = imported_record_name(cluster=record.cluster, namespace=record.namespace, service=record.name)
    body = {
        "metadata": {
            "namespace": SYSTEM_NAMESPACE,
            "name": name,
            "labels": {LABEL_SOURCE_CLUSTER: record.cluster},
        },
        "spec": as_json(record),
    }
    return Apply(kind=Kind.IMPORTED_RECORD, body=body, manager=RECORD_MANAGER)
