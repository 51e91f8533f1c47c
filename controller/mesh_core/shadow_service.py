"""The shadow Service of an import: selector-less, and its ClusterIP is the clusterset IP.

1. It is made before the ServiceImport, which then states its IPs from its first moment. So it has no
   owner: a ServiceImport that is deleted by hand comes back with the same IPs, and what we leave behind is
   found by its labels.
2. A lost one is made again with the ClusterIP that the ServiceImport states.
3. It states no trafficDistribution: kube-proxy acts on that through hints, which `mesh_core.topology` writes
   into our slices.
4. Its families are those of the Service that we export ourselves; else those of the cluster, two when the
   export has two. Gateways bridge families: an import needs one that this cluster has, not the exporter's.
"""

from mesh_core.import_view import ImportView, stated_ips
from mesh_core.names import LABEL_MANAGED_BY, LABEL_SERVICE_NAME, MANAGER, shadow_service_name
from mesh_core.objects import ImportSpec, ServiceSpec
from mesh_core.plan import Create, Json, Kind, Plan, as_json, difference, patch


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
    before = {"metadata": {"labels": seen.metadata.labels}, "spec": _shadow_fields(seen.spec)}
    after = {"metadata": {"labels": {**seen.metadata.labels, **labels}}, "spec": fields}
    return patch(Kind.SERVICE, seen, body=difference(before=before, after=after))


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
