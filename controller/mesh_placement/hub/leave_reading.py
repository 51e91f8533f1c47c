"""What the hub has of one cluster, read when it leaves and not before: a cluster leaves once.

Objects are found by the label `LABEL_CLUSTER` that the hub gives to everything it makes for a cluster; in the
cluster's own namespace, which nobody else has a right to use, everything of the kinds below is its own.
"""

from collections.abc import Mapping
from typing import Any, Final

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import KubernetesObject
from mesh_placement.decide.leaving_facts import HubKind, HubObject
from mesh_placement.decide.rights import namespace_of
from mesh_placement.names import (
    ANNOTATION_CLEANUP_PRIORITY,
    CLUSTER_MANAGER,
    JOIN_KUBECONFIG_PREFIX,
    LABEL_CLUSTER,
    LABEL_CLUSTER_MANAGER,
    TOMBSTONES,
)
from mesh_placement.objects import Assignment, ClusterLink, ClusterRegistration
from mesh_placement.resources import (
    ASSIGNMENTS,
    CLUSTER_CAPACITIES,
    CLUSTER_LINKS,
    CLUSTER_PROFILES,
    CLUSTER_REGISTRATIONS,
    CLUSTER_SETS,
    WORKS,
)
from mesh_runtime.kube import (
    CONFIG_MAPS,
    CSRS,
    LEASES,
    NAMESPACES,
    SECRETS,
    KubeClient,
    Resource,
)

_RBAC: Final = "rbac.authorization.k8s.io"
_SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount", KubernetesObject)
_ROLES = Resource(_RBAC, "v1", "roles", "Role", KubernetesObject)
_ROLE_BINDINGS = Resource(_RBAC, "v1", "rolebindings", "RoleBinding", KubernetesObject)
_CLUSTER_ROLES = Resource(_RBAC, "v1", "clusterroles", "ClusterRole", KubernetesObject, namespaced=False)
_CLUSTER_ROLE_BINDINGS = Resource(
    _RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", KubernetesObject, namespaced=False
)
# Any: resources of several types, which differ only in what answers are decoded into.
HUB_RESOURCES: Final[Mapping[HubKind, Resource[Any]]] = {
    HubKind.REQUEST: CSRS,
    HubKind.SECRET: SECRETS,
    HubKind.SERVICE_ACCOUNT: _SERVICE_ACCOUNTS,
    HubKind.CLUSTER_ROLE_BINDING: _CLUSTER_ROLE_BINDINGS,
    HubKind.ROLE_BINDING: _ROLE_BINDINGS,
    HubKind.CLUSTER_ROLE: _CLUSTER_ROLES,
    HubKind.ROLE: _ROLES,
    HubKind.LEASE: LEASES,
    HubKind.PROFILE: CLUSTER_PROFILES,
    HubKind.WORK: WORKS,
    HubKind.ASSIGNMENT: ASSIGNMENTS,
    HubKind.LINK: CLUSTER_LINKS,
    HubKind.CAPACITY: CLUSTER_CAPACITIES,
    HubKind.NAMESPACE: NAMESPACES,
}
_IN_NAMESPACE: Final = (
    HubKind.SECRET,
    HubKind.SERVICE_ACCOUNT,
    HubKind.ROLE_BINDING,
    HubKind.ROLE,
    HubKind.LEASE,
    HubKind.WORK,
    HubKind.ASSIGNMENT,
    HubKind.LINK,
    HubKind.CAPACITY,
)
_LABELLED: Final = (
    HubKind.REQUEST,
    HubKind.CLUSTER_ROLE_BINDING,
    HubKind.CLUSTER_ROLE,
    HubKind.ROLE_BINDING,
    HubKind.ROLE,
    HubKind.PROFILE,
)
"""Listed wherever they are: the ClusterSet that would say where may be gone before its cluster."""
_DEFAULT_ACCOUNT: Final = "default"
"""Made by the controller manager in every namespace, and made again when it is deleted."""
PUBLIC_NAMESPACE: Final = "kube-public"
_TOKEN_NAMESPACE: Final = "kube-system"


async def read_objects(kube: KubeClient, registration: ClusterRegistration) -> tuple[HubObject, ...]:
    """Everything of the cluster on the hub but its registration. Raises ApiError, Unreachable, BadAnswer."""
    cluster = registration.metadata.name
    namespace = namespace_of(registration)
    found: list[HubObject] = []
    space = await kube.find(NAMESPACES, namespace)
    if space is not None and space.metadata.labels.get(LABEL_CLUSTER) == cluster:
        found.append(_object(HubKind.NAMESPACE, space))
        for kind in _IN_NAMESPACE:
            page = await kube.list(HUB_RESOURCES[kind], namespace=namespace)
            found += [_object(kind, one) for one in page.items if not _is_default(kind, one)]
    for kind in _LABELLED:
        page = await kube.list(HUB_RESOURCES[kind], labels=f"{LABEL_CLUSTER}={cluster}")
        found += [_object(kind, one) for one in page.items]
    found += await _named(kube, registration)
    return tuple({(one.kind, one.namespace, one.name): one for one in found}.values())


async def read_assignments(kube: KubeClient, registration: ClusterRegistration) -> tuple[Assignment, ...]:
    """What is placed on the cluster. Raises ApiError, Unreachable, BadAnswer."""
    namespace = registration.status.namespace
    if not namespace:
        return ()
    return tuple((await kube.list(ASSIGNMENTS, namespace=namespace)).items)


async def read_links(kube: KubeClient, registration: ClusterRegistration) -> dict[str, ClusterLink]:
    """The rows of all clusters of the set, by cluster. Raises ApiError, Unreachable, BadAnswer."""
    rows = {one.metadata.namespace: one for one in (await kube.list(CLUSTER_LINKS)).items}
    return {
        one.metadata.name: rows[one.status.namespace]
        for one in (await kube.list(CLUSTER_REGISTRATIONS)).items
        if one.spec.cluster_set == registration.spec.cluster_set and one.status.namespace in rows
    }


async def is_isolated(kube: KubeClient, registration: ClusterRegistration) -> bool:
    """Whether the cluster's set has no mesh. Raises ApiError, Unreachable, BadAnswer."""
    chosen = await kube.find(CLUSTER_SETS, registration.spec.cluster_set)
    return chosen is not None and chosen.spec.connectivity == "Isolated"


async def read_tombstones(kube: KubeClient) -> dict[str, str] | None:
    """The entries; None where nobody has been buried yet. Raises ApiError, Unreachable, BadAnswer."""
    found = await kube.find(CONFIG_MAPS, TOMBSTONES, namespace=PUBLIC_NAMESPACE)
    return None if found is None else dict(found.data)


async def _named(kube: KubeClient, registration: ClusterRegistration) -> list[HubObject]:
    """What is told by its name: its profile, its bootstrap token, a kubeconfig that was not used."""
    cluster, found = registration.metadata.name, []
    chosen = await kube.find(CLUSTER_SETS, registration.spec.cluster_set)
    profiles = chosen.spec.profile_namespace if chosen is not None else ""
    if profiles:
        profile = await kube.find(CLUSTER_PROFILES, cluster, namespace=profiles)
        if profile is not None and profile.metadata.labels.get(LABEL_CLUSTER_MANAGER) == CLUSTER_MANAGER:
            found.append(_object(HubKind.PROFILE, profile))
    secrets = [(SYSTEM_NAMESPACE, JOIN_KUBECONFIG_PREFIX + cluster)]
    if registration.status.token:
        secrets.append((_TOKEN_NAMESPACE, f"bootstrap-token-{registration.status.token}"))
    for namespace, name in secrets:
        # Its metadata is enough to delete it: nothing secret needs to be read.
        meta = await kube.find_metadata(SECRETS, name, namespace=namespace)
        if meta is not None:
            found.append(_object(HubKind.SECRET, KubernetesObject(metadata=meta)))
    return found


def _object(kind: HubKind, seen: KubernetesObject) -> HubObject:
    meta = seen.metadata
    return HubObject(
        kind=kind,
        name=meta.name,
        namespace=meta.namespace,
        uid=meta.uid,
        version=meta.resource_version,
        finalizers=meta.finalizers,
        going_since=meta.deletion_timestamp,
        priority=_priority(meta.annotations),
    )


def _priority(annotations: Mapping[str, str]) -> int:
    try:
        return int(annotations.get(ANNOTATION_CLEANUP_PRIORITY, "0"))
    except ValueError:
        return 0


def _is_default(kind: HubKind, seen: KubernetesObject) -> bool:
    return kind is HubKind.SERVICE_ACCOUNT and seen.metadata.name == _DEFAULT_ACCOUNT
