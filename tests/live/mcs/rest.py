"""Everything that controllers write, with its versions: by that a test sees whether all has come to rest."""

from live.mcs.world import CLUSTERS, World
from mesh_core.names import LABEL_MANAGED_BY, LABEL_SLICE_MANAGED_BY, MANAGER
from mesh_runtime.kube import (
    CLUSTER_PROPERTIES,
    ENDPOINT_SLICES,
    IMPORTED_RECORDS,
    IMPORTED_SHARDS,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    SERVICES,
    Resource,
)

_WRITTEN: tuple[tuple[Resource, str], ...] = (  # type: ignore[type-arg]  # of many types
    (SERVICE_EXPORTS, ""),
    (SERVICE_IMPORTS, ""),
    (SERVICES, f"{LABEL_MANAGED_BY}={MANAGER}"),
    (ENDPOINT_SLICES, f"{LABEL_SLICE_MANAGED_BY}={MANAGER}"),
    (IMPORTED_RECORDS, ""),
    (IMPORTED_SHARDS, ""),
    (CLUSTER_PROPERTIES, ""),
)


async def versions(world: World) -> dict[tuple[str, ...], tuple[str, str]]:
    """UID and resourceVersion of everything that a controller writes but for its notes to itself."""
    found: dict[tuple[str, ...], tuple[str, str]] = {}
    for cluster in CLUSTERS:
        for resource, labels in _WRITTEN:
            for item in (await world.kube(cluster).list(resource, labels=labels)).items:
                meta = item.metadata
                place = (cluster, resource.kind, meta.namespace, meta.name)
                found[place] = (meta.uid, meta.resource_version)
    return found
