"""Writes what decisions made: bodies with their kind, applied under the hub's field manager."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from mesh_core.objects import KubernetesObject
from mesh_core.plan import Json
from mesh_placement.names import HUB_MANAGER
from mesh_placement.resources import (
    CLUSTER_CAPACITIES,
    CLUSTER_LINKS,
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
)
from mesh_runtime.kube import LEASES, NAMESPACES, SECRETS, ApiError, KubeClient, Resource

# Any: resources of several types, which differ only in what answers are decoded into.
_RESOURCES: Final[Mapping[str, Resource[Any]]] = {
    resource.kind: resource
    for resource in (
        NAMESPACES,
        LEASES,
        SECRETS,
        SERVICE_ACCOUNTS,
        CLUSTER_CAPACITIES,
        CLUSTER_LINKS,
        ROLES,
        ROLE_BINDINGS,
        CLUSTER_ROLES,
        CLUSTER_ROLE_BINDINGS,
    )
}


async def apply_all(kube: KubeClient, bodies: Iterable[Json]) -> None:
    """Apply `bodies` in their order; raises ApiError or Unreachable for the first that fails."""
    for body in bodies:
        await kube.apply(_RESOURCES[body["kind"]], body, field_manager=HUB_MANAGER)


async def delete_all(kube: KubeClient, bodies: Iterable[Json]) -> None:
    """Delete the objects that `bodies` name, in their order; what is not there is no error."""
    for body in bodies:
        meta = body["metadata"]
        await kube.delete(_RESOURCES[body["kind"]], meta["name"], namespace=meta.get("namespace", ""))


async def delete_that(kube: KubeClient, resource: Resource[Any], one: KubernetesObject) -> None:
    """Delete the very object that was seen, unless it is going already; another of its name stays."""
    meta = one.metadata
    if meta.deletion_timestamp is not None:
        return
    try:
        await kube.delete(resource, meta.name, namespace=meta.namespace, uid=meta.uid)
    except ApiError as error:
        if not error.is_conflict:
            raise
