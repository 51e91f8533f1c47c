"""A hub's objects as JSON, whole: also what this version does not know of them. For copies and backups."""

from typing import Any, Final

import msgspec

from mesh_core.plan import Json
from mesh_placement.resources import (
    ASSIGNMENTS,
    CLUSTER_CAPACITIES,
    CLUSTER_CLAIMS,
    CLUSTER_LINKS,
    CLUSTER_REGISTRATIONS,
    CLUSTER_SETS,
    PLACEMENTS,
    RESOURCE_INTERPRETERS,
    WORKS,
)
from mesh_runtime.kube import CONFIG_MAPS, NAMESPACES, SECRETS, ApiError, KubeClient, Resource

# Only paths and names are taken of them; what objects are decoded into does not matter, hence Any.
BY_KIND: Final[dict[str, Resource[Any]]] = {
    "ClusterSet": CLUSTER_SETS,
    "ResourceInterpreter": RESOURCE_INTERPRETERS,
    "Namespace": NAMESPACES,
    "Secret": SECRETS,
    "Assignment": ASSIGNMENTS,
    "Work": WORKS,
    "ClusterLink": CLUSTER_LINKS,
    "ClusterCapacity": CLUSTER_CAPACITIES,
    "ConfigMap": CONFIG_MAPS,
    "ClusterRegistration": CLUSTER_REGISTRATIONS,
    "ClusterClaim": CLUSTER_CLAIMS,
    "Placement": PLACEMENTS,
}
_PAGE: Final = 500


class _Page(msgspec.Struct):
    metadata: dict[str, Any]  # of a list: resourceVersion, continue
    items: list[Json] | None = None


async def list_whole(kube: KubeClient, kind: str, *, namespace: str = "", labels: str = "") -> list[Json]:
    """All of a kind, page by page, as they come: without their kind. Raises ApiError, Unreachable."""
    resource = BY_KIND[kind]
    params = {"limit": str(_PAGE), **({"labelSelector": labels} if labels else {})}
    items: list[Json] = []
    while True:
        raw = await kube.request("GET", resource.collection(namespace=namespace), params=params)
        page = msgspec.json.decode(raw, type=_Page)
        items += page.items or ()
        more = page.metadata.get("continue")
        if not more:
            return items
        params["continue"] = str(more)


async def find_whole(kube: KubeClient, kind: str, name: str, *, namespace: str = "") -> Json | None:
    """One object, None when it is not there. Raises ApiError, Unreachable."""
    try:
        raw = await kube.request("GET", BY_KIND[kind].path(name, namespace=namespace))
    except ApiError as error:
        if error.is_not_found:
            return None
        raise
    return msgspec.json.decode(raw, type=dict[str, Any])
