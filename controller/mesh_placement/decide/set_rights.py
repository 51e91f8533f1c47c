"""What the hub makes for a ClusterSet: who may claim into it, and the namespace of its ClusterProfiles.

Both labels of the namespace are written: the text of KEP-4322 and the code of cluster-inventory-api differ.
A ClusterSet that is deleted takes its right to claim with it; the namespace stays, others may use it.
"""

from typing import Final

from mesh_core.plan import Json
from mesh_placement.names import (
    CLAIM_ROLE,
    LABEL_CLUSTERSET,
    LABELS_OF_SET_NAMESPACE,
    PROFILES_ROLE,
    TOKEN_GROUP_PREFIX,
)
from mesh_placement.objects import ClusterSet

_RBAC: Final = "rbac.authorization.k8s.io"


def profile_namespace_of(cluster_set: ClusterSet) -> str:
    """Where the ClusterProfiles of the set lie."""
    return cluster_set.spec.profile_namespace or f"clusterset-{cluster_set.metadata.name}"


def claim_binding_of(cluster_set: str) -> str:
    """Name of the ClusterRoleBinding of who shows a token of that set."""
    return f"{CLAIM_ROLE}-{cluster_set}"


def set_objects_of(cluster_set: ClusterSet) -> tuple[Json, ...]:
    """In the order of writing."""
    name, namespace = cluster_set.metadata.name, profile_namespace_of(cluster_set)
    ours = {LABEL_CLUSTERSET: name}
    set_labels = {label: name for label in LABELS_OF_SET_NAMESPACE}
    return (
        _object("v1", "Namespace", {"name": namespace, "labels": {**ours, **set_labels}}),
        _rbac(
            "Role",
            {"name": PROFILES_ROLE, "namespace": namespace, "labels": ours},
            rules=[_rule("multicluster.x-k8s.io", "clusterprofiles", "get", "list", "watch")],
        ),
        # The same for all sets, so it names none.
        _rbac(
            "ClusterRole",
            {"name": CLAIM_ROLE},
            rules=[
                _rule("certificates.k8s.io", "certificatesigningrequests", "create", "get", "list", "watch")
            ],
        ),
        _rbac(
            "ClusterRoleBinding",
            {"name": claim_binding_of(name), "labels": ours},
            roleRef={"apiGroup": _RBAC, "kind": "ClusterRole", "name": CLAIM_ROLE},
            subjects=[{"apiGroup": _RBAC, "kind": "Group", "name": TOKEN_GROUP_PREFIX + name}],
        ),
    )


def _rule(group: str, resource: str, *verbs: str) -> Json:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}


def _rbac(kind: str, metadata: Json, **fields: object) -> Json:
    return {**_object(f"{_RBAC}/v1", kind, metadata), **fields}


def _object(api_version: str, kind: str, metadata: Json) -> Json:
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}
