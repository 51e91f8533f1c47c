"""The shadow Service of an import: selector-less, and its ClusterIP is the clusterset IP.

1. It is made before the ServiceImport, which then states its IPs from its first moment. So it has no
   owner: a ServiceImport that is deleted by hand comes back with the same IPs, and what we leave behind is
   found by its labels.
2. A lost one is made again with the ClusterIP that the ServiceImport states.
3. It states no trafficDistribution: kube-proxy acts on that through hints, which `mesh_core.topology` writes
   into our slices.
4. When an import turns headless its shadow Service stays for `KEPT`, without endpoints: a redeployment that
   was headless for a moment, by mistake or by malice, must not change the IP that clients know.
5. Its families are those of the Service that we export ourselves; else those of the cluster, two when the
   export has two. Gateways bridge families: an import needs one that this cluster has, not the exporter's.
"""

from datetime import datetime

from mesh_core.conditions import rfc3339
from mesh_core.import_view import ImportView, is_ours, stated_ips
from mesh_core.names import (
    ANNOTATION_GONE_SINCE,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
    MANAGER,
    shadow_service_name,
)
from mesh_core.objects import ImportSpec, ServiceSpec
from mesh_core.plan import Create, Json, Kind, Plan, as_json, deletion, difference, patch
from mesh_core.stand_ins import KEPT, gone_since


def plan_shadow(view: ImportView, *, spec: ImportSpec) -> Plan:
    """The write of the shadow Service, if one is due; `spec` is the import's."""
    name = shadow_service_name(namespace=view.namespace, name=view.name)
    labels = {LABEL_MANAGED_BY: MANAGER, LABEL_SERVICE_NAME: view.name}
    fields = _shadow_fields(spec)
    if view.shadow is None:
        body = {
            "metadata": {"namespace": view.namespace, "name": name, "labels": labels},
            "spec": {"type": "ClusterIP", **_families(view, spec=spec), **_fixed_ips(view), **fields},
        }
        return (Create(kind=Kind.SERVICE, body=body),)
    seen = view.shadow
    notes = seen.metadata.annotations
    kept = {key: text for key, text in notes.items() if key != ANNOTATION_GONE_SINCE}
    before = {
        "metadata": {"labels": seen.metadata.labels, "annotations": notes},
        "spec": _shadow_fields(seen.spec),
    }
    after = {
        "metadata": {"labels": {**seen.metadata.labels, **labels}, "annotations": kept},
        "spec": fields,
    }
    return patch(Kind.SERVICE, seen, body=difference(before=before, after=after))


def plan_leftover_shadow(view: ImportView, *, now: datetime) -> Plan:
    """What to do with the shadow Service of an import that is headless now (law 4)."""
    seen = view.shadow
    if seen is None or not is_ours(seen):
        return ()
    since = gone_since(seen)
    if since is None:
        note = {"metadata": {"annotations": {ANNOTATION_GONE_SINCE: rfc3339(now)}}}
        return patch(Kind.SERVICE, seen, body=note)
    return (deletion(Kind.SERVICE, seen),) if now - since >= KEPT else ()


def _shadow_fields(spec: ImportSpec | ServiceSpec) -> Json:
    """The fields of a Service's spec that we set; defaults spelled as the API server spells them."""
    affinity = spec.session_affinity or "None"
    fields: Json = {
        "ports": [
            as_json({"name": p.name, "protocol": p.protocol, "port": p.port, "appProtocol": p.app_protocol})
            for p in spec.ports
        ],
        "sessionAffinity": affinity,
        "internalTrafficPolicy": spec.internal_traffic_policy or "Cluster",
    }
    if affinity == "ClientIP" and spec.session_affinity_config is not None:
        fields["sessionAffinityConfig"] = as_json(spec.session_affinity_config)
    return fields


def _families(view: ImportView, *, spec: ImportSpec) -> Json:
    if view.own_service is not None and view.own_service.spec.ip_families:
        families = view.own_service.spec.ip_families
        policy = "PreferDualStack" if len(families) > 1 else "SingleStack"
        return {"ipFamilyPolicy": policy, "ipFamilies": list(families)}
    return {"ipFamilyPolicy": "PreferDualStack" if len(spec.ip_families) > 1 else "SingleStack"}


def _fixed_ips(view: ImportView) -> Json:
    ips, families = stated_ips(view)
    if not ips:
        return {}
    return {"clusterIP": ips[0], "clusterIPs": list(ips), "ipFamilies": list(families)}
