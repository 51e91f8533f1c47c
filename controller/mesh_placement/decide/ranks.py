"""In which order kinds are applied, and, backwards, deleted.

A rank is applied when all of it is in the member; only then comes the next. Kinds that the table does not
name, custom resources among them, are workloads.
"""

from typing import Final

NAMESPACES_AND_CRDS = 0
WORKLOADS = 5
RANKS = 7
"""One more than the last rank; as a progress it means that nothing is left to apply."""

_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_MCS = "multicluster.x-k8s.io"

# group, kind, plural; the place of a row's tuple is its rank.
_TABLE: Final[tuple[tuple[tuple[str, str, str], ...], ...]] = (
    (
        ("", "Namespace", "namespaces"),
        ("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions"),
    ),
    (
        (_RBAC, "ClusterRole", "clusterroles"),
        (_RBAC, "ClusterRoleBinding", "clusterrolebindings"),
        (_RBAC, "Role", "roles"),
        (_RBAC, "RoleBinding", "rolebindings"),
    ),
    (
        ("", "LimitRange", "limitranges"),
        ("", "ResourceQuota", "resourcequotas"),
        ("", "ServiceAccount", "serviceaccounts"),
        ("networking.k8s.io", "IngressClass", "ingressclasses"),
        ("networking.k8s.io", "NetworkPolicy", "networkpolicies"),
        ("node.k8s.io", "RuntimeClass", "runtimeclasses"),
        ("policy", "PodDisruptionBudget", "poddisruptionbudgets"),
        ("scheduling.k8s.io", "PriorityClass", "priorityclasses"),
        ("storage.k8s.io", "StorageClass", "storageclasses"),
    ),
    (
        ("", "ConfigMap", "configmaps"),
        ("", "PersistentVolume", "persistentvolumes"),
        ("", "PersistentVolumeClaim", "persistentvolumeclaims"),
        ("", "Secret", "secrets"),
    ),
    (
        ("", "Service", "services"),
        (_MCS, "ServiceExport", "serviceexports"),
        (_MCS, "ServiceImport", "serviceimports"),
    ),
    (),
    (
        (_ADMISSION, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
        (_ADMISSION, "ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
        (_ADMISSION, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
        (_ADMISSION, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
        ("apiregistration.k8s.io", "APIService", "apiservices"),
    ),
)
_BY_KIND: Final = {(group, kind): rank for rank, row in enumerate(_TABLE) for group, kind, _ in row}
_BY_PLURAL: Final = {(group, plural): rank for rank, row in enumerate(_TABLE) for group, _, plural in row}


def rank_of_kind(group: str, kind: str) -> int:
    """Rank of what a manifest calls itself; `group` "" is core."""
    return _BY_KIND.get((group, kind), WORKLOADS)


def rank_of_resource(group: str, plural: str) -> int:
    """Rank of what an inventory lists, which knows plurals and no kinds."""
    return _BY_PLURAL.get((group, plural), WORKLOADS)
