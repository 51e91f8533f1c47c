"""The API resources of this module; all others are `mesh_runtime.kube`'s."""

from mesh_core.objects import KubernetesObject
from mesh_placement import objects
from mesh_placement.names import GROUP
from mesh_runtime.kube import Resource

_STANDARD = "multicluster.x-k8s.io"
_V = "v1alpha1"

CLUSTER_SETS = Resource(GROUP, _V, "clustersets", "ClusterSet", objects.ClusterSet, namespaced=False)
CLUSTER_REGISTRATIONS = Resource(
    GROUP, _V, "clusterregistrations", "ClusterRegistration", objects.ClusterRegistration, namespaced=False
)
CLUSTER_CLAIMS = Resource(GROUP, _V, "clusterclaims", "ClusterClaim", objects.ClusterClaim, namespaced=False)
CLUSTER_CAPACITIES = Resource(GROUP, _V, "clustercapacities", "ClusterCapacity", objects.ClusterCapacity)
CLUSTER_LINKS = Resource(GROUP, _V, "clusterlinks", "ClusterLink", objects.ClusterLink)
ASSIGNMENTS = Resource(GROUP, _V, "assignments", "Assignment", objects.Assignment)
RESOURCE_INTERPRETERS = Resource(
    GROUP, _V, "resourceinterpreters", "ResourceInterpreter", objects.ResourceInterpreter, namespaced=False
)
PLACEMENTS = Resource(GROUP, _V, "placements", "Placement", objects.Placement)
PLACEMENT_REPORTS = Resource(GROUP, _V, "placementreports", "PlacementReport", objects.PlacementReport)
CLUSTER_PROFILES = Resource(_STANDARD, _V, "clusterprofiles", "ClusterProfile", objects.ClusterProfile)
PLACEMENT_DECISIONS = Resource(
    _STANDARD, _V, "placementdecisions", "PlacementDecision", objects.PlacementDecision
)
WORKS = Resource(_STANDARD, _V, "works", "Work", objects.Work)
APPLIED_WORKS = Resource(_STANDARD, _V, "appliedworks", "AppliedWork", objects.AppliedWork, namespaced=False)
WORKS_WITHOUT_CONTENT = Resource(_STANDARD, _V, "works", "Work", KubernetesObject)
"""For who looks at their metadata alone: all Works of a hub are too much for one memory."""
PRIORITY_CLASSES = Resource(
    "scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", objects.PriorityClass, namespaced=False
)

# Of these we only write what we own, and look at names.
_RBAC = "rbac.authorization.k8s.io"
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount", KubernetesObject)
ROLES = Resource(_RBAC, "v1", "roles", "Role", KubernetesObject)
ROLE_BINDINGS = Resource(_RBAC, "v1", "rolebindings", "RoleBinding", KubernetesObject)
CLUSTER_ROLES = Resource(_RBAC, "v1", "clusterroles", "ClusterRole", KubernetesObject, namespaced=False)
CLUSTER_ROLE_BINDINGS = Resource(
    _RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", KubernetesObject, namespaced=False
)
API_SERVICES = Resource(
    "apiregistration.k8s.io", "v1", "apiservices", "APIService", objects.ApiService, namespaced=False
)
