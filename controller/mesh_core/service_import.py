"""The ServiceImport of an import: its spec, its metadata, its status (KEP-1645, "ServiceImport").

1. `ips` and `ipFamilies` are written in one write, in one order, and stay as long as the import does.
2. The controller is a ServiceImport's only author, so what no export brings is removed; but keys in
   reserved domains may be other software's notes to itself and stay.
"""

from collections.abc import Mapping
from datetime import datetime

from msgspec import structs

from mesh_core.conditions import as_json as condition_json
from mesh_core.conditions import merged as merged_conditions
from mesh_core.conditions import truth
from mesh_core.import_view import ImportView, is_ours, obstacle, stated_ips
from mesh_core.merge import MergedImport, is_reserved
from mesh_core.names import (
    ANNOTATION_DERIVED_SERVICE,
    LABEL_MANAGED_BY,
    MANAGER,
    shadow_service_name,
)
from mesh_core.objects import Condition, ImportSpec, ServiceImport
from mesh_core.plan import Create, Json, Kind, Plan, as_json, difference, patch
from mesh_core.stand_ins import without_room


def spec_with_ips(view: ImportView, *, merged: MergedImport) -> ImportSpec:
    """The merged spec with the shadow Service's IPs; until it has some, with those stated before."""
    ips: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    if view.shadow is None:
        ips, families = stated_ips(view)
    elif is_ours(view.shadow) and view.shadow.spec.cluster_ips:
        ips, families = view.shadow.spec.cluster_ips, view.shadow.spec.ip_families
    return structs.replace(merged.spec, ips=ips, ip_families=families)


def plan_service_import(view: ImportView, *, merged: MergedImport, spec: ImportSpec) -> Plan:
    labels = {**merged.labels, LABEL_MANAGED_BY: MANAGER}
    annotations = dict(merged.annotations)
    if spec.type == "ClusterSetIP":
        derived = shadow_service_name(namespace=view.namespace, name=view.name)
        annotations[ANNOTATION_DERIVED_SERVICE] = derived
    seen = view.service_import
    if seen is None:
        metadata = {
            "namespace": view.namespace,
            "name": view.name,
            "labels": labels,
            "annotations": annotations,
        }
        return (Create(kind=Kind.SERVICE_IMPORT, body={"metadata": metadata, "spec": as_json(spec)}),)
    # The controller is a ServiceImport's only author (KEP-1645), so what exports do not bring goes;
    # but keys in reserved domains may be other software's notes to itself.
    before = {
        "metadata": {"labels": seen.metadata.labels, "annotations": seen.metadata.annotations},
        "spec": as_json(seen.spec),
    }
    after = {
        "metadata": {
            "labels": {**_reserved(seen.metadata.labels), **labels},
            "annotations": {**_foreign(seen.metadata.annotations), **annotations},
        },
        "spec": as_json(spec),
    }
    return patch(Kind.SERVICE_IMPORT, seen, body=difference(before=before, after=after))


def _reserved(entries: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in entries.items() if is_reserved(key)}


def _foreign(entries: Mapping[str, str]) -> dict[str, str]:
    """Reserved annotations that are not ours to set: a headless import has no derived Service."""
    return {k: v for k, v in _reserved(entries).items() if k != ANNOTATION_DERIVED_SERVICE}


def plan_status(
    view: ImportView, *, seen: ServiceImport, merged: MergedImport, spec: ImportSpec, now: datetime
) -> Plan:
    """The write of the status, if one is due."""
    blocked = obstacle(service_import=None, shadow=view.shadow)
    if not blocked and (lacking := without_room(view, merged=merged)):
        blocked = (
            f"{lacking} endpoints have no stand-in, because their cluster has as many as it may have; "
            "raise spec.import.limits.standIns of its MeshPeer"
        )
    wanted = _ready(spec, generation=seen.metadata.generation, blocked=blocked)
    conditions = merged_conditions((wanted,), before=seen.status.conditions, ours=(wanted.type,), now=now)
    before = {
        "clusters": as_json(seen.status.clusters),
        "conditions": [condition_json(condition) for condition in seen.status.conditions],
        # CRDs before mcs-api v0.5.1 drop the field: its absence alone is no reason to write again.
        "endpointSliceObjects": seen.status.endpoint_slice_objects or (seen.status.clusters and "Present"),
    }
    after: Json = {
        "clusters": [{"cluster": cluster} for cluster in merged.serving],
        "conditions": [condition_json(condition) for condition in conditions],
        "endpointSliceObjects": "Present",
    }
    changed = difference(before=before, after=after)
    body = {"status": changed} if changed else {}
    # Unguarded: a patch of the spec in the same plan has moved the version on, and nobody else writes it.
    return patch(Kind.SERVICE_IMPORT, seen, body=body, subresource="status", guarded=False)


def _ready(spec: ImportSpec, *, generation: int, blocked: str) -> Condition:
    headless = spec.type == "Headless"
    ready = (headless or bool(spec.ips)) and not blocked
    good = "its endpoints have names of their own" if headless else "the clusterset IP is assigned"
    message = good if ready else blocked or "waits for a clusterset IP"
    return Condition(
        type="Ready",
        status=truth(ready),
        reason="Ready" if ready else "Pending",
        message=message,
        observed_generation=generation,
    )
