"""A hub's objects as JSON, whole: also what this version does not know of them."""

from typing import Any, Final

import msgspec

from mesh_core.plan import Json
from mesh_placement.decide.backup import PUBLIC
from mesh_placement.decide.hub_copy import COPIED, Key, key_of
from mesh_placement.names import TOMBSTONES
from mesh_placement.resources import (
    ASSIGNMENTS,
    CLUSTER_CAPACITIES,
    CLUSTER_LINKS,
    CLUSTER_REGISTRATIONS,
    CLUSTER_SETS,
    PLACEMENTS,
    RESOURCE_INTERPRETERS,
    WORKS,
)
from mesh_runtime.kube import CONFIG_MAPS, NAMESPACES, SECRETS, ApiError, KubeClient, Resource
from mesh_runtime.side_by_side import side_by_side

# Only paths and names are taken of them; what objects are decoded into does not matter, hence Any.
RESOURCES: Final[dict[str, Resource[Any]]] = {
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
    "Placement": PLACEMENTS,
}


class _Page(msgspec.Struct):
    metadata: dict[str, Any]  # of a list: resourceVersion, continue
    items: list[Json] | None = None


async def read_kind(kube: KubeClient, kind: str, *, namespace: str = "") -> list[Json]:
    """Whole objects, page by page; each with its kind. Raises ApiError, Unreachable."""
    resource, params = RESOURCES[kind], {"limit": "500"}
    items: list[Json] = []
    while True:
        raw = await kube.request("GET", resource.collection(namespace=namespace), params=params)
        page = msgspec.json.decode(raw, type=_Page)
        items += ({**one, "kind": kind, "apiVersion": COPIED[kind]} for one in page.items or ())
        more = page.metadata.get("continue")
        if not more:
            return items
        params["continue"] = str(more)


async def read_tombstones(kube: KubeClient) -> list[Json]:
    """The one ConfigMap, by its name: nobody needs the right to read others. Raises ApiError, Unreachable."""
    path = CONFIG_MAPS.path(TOMBSTONES, namespace=PUBLIC)
    try:
        raw = await kube.request("GET", path)
    except ApiError as error:
        if error.is_not_found:
            return []
        raise
    found: Json = msgspec.json.decode(raw, type=dict[str, Any])
    return [{**found, "kind": "ConfigMap", "apiVersion": COPIED["ConfigMap"]}]


async def read_all(kube: KubeClient, *, secrets_in: frozenset[str]) -> dict[Key, Json]:
    """All that is copied, or might have been; Secrets of those namespaces."""
    kinds = [kind for kind in COPIED if kind not in ("Secret", "ConfigMap")]
    found = [one for each in await side_by_side(read_kind(kube, kind) for kind in kinds) for one in each]
    spaces = sorted(secrets_in & {one["metadata"]["name"] for one in found if one["kind"] == "Namespace"})
    secrets = await side_by_side(read_kind(kube, "Secret", namespace=space) for space in spaces)
    every = (*found, *(one for each in secrets for one in each), *await read_tombstones(kube))
    return {key_of(one): one for one in every}
