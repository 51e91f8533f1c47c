"""The shadow Service of an import: selector-less, and its ClusterIP is the clusterset IP.

1. It is made when the ServiceImport is there, because the ServiceImport owns it.
2. A lost one is made again with the ClusterIP that the ServiceImport states.
3. It states no trafficDistribution: kube-proxy acts on that through hints, which nobody writes into our
   slices.
"""

from mesh_core.import_view import ImportView, stated_ips
from mesh_core.names import LABEL_MANAGED_BY, LABEL_SERVICE_NAME, MANAGER, shadow_service_name
from mesh_core.objects import ImportSpec, OwnerReference, ServiceSpec
from mesh_core.plan import Create, Json, Kind, Plan, as_json, difference, patch

IMPORT_API_VERSION = "multicluster.x-k8s.io/v1beta1"


def plan_shadow(view: ImportView, *, spec: ImportSpec) -> Plan:
    """The write of the shadow Service, if one is due; `spec` is the import's."""
    owner = view.service_import
    if owner is None:
        return ()
    name = shadow_service_name(namespace=view.namespace, name=view.name)
    metadata: Json = {
        # The label with the import's name finds a shadow Service whose ServiceImport is gone.
        "labels": {LABEL_MANAGED_BY: MANAGER, LABEL_SERVICE_NAME: view.name},
        "ownerReferences": [
            as_json(
                OwnerReference(
                    api_version=IMPORT_API_VERSION,
                    kind="ServiceImport",
                    name=owner.metadata.name,
                    uid=owner.metadata.uid,
                )
            )
        ],
    }
    fields = _shadow_fields(spec)
    if view.shadow is None:
        body = {
            "metadata": {"namespace": view.namespace, "name": name, **metadata},
            "spec": {"type": "ClusterIP", **_fixed_ips(view), **fields},
        }
        return (Create(kind=Kind.SERVICE, body=body),)
    seen = view.shadow
    kept = {key: value for key, value in seen.metadata.labels.items() if key not in metadata["labels"]}
    before = {
        "metadata": {
            "labels": seen.metadata.labels,
            "ownerReferences": as_json(seen.metadata.owner_references),
        },
        "spec": _shadow_fields(seen.spec),
    }
    after = {"metadata": {**metadata, "labels": kept | metadata["labels"]}, "spec": fields}
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


def _fixed_ips(view: ImportView) -> Json:
    ips, families = stated_ips(view)
    if not ips:
        return {}
    return {"clusterIP": ips[0], "clusterIPs": list(ips), "ipFamilies": list(families)}
