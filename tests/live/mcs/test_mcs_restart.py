"""A restart of both controllers at once changes no object of theirs."""

from functools import partial

import pytest

from live.mcs.scene import both
from live.mcs.world import CLUSTERS, PODS, World, seen
from mesh_core.names import (
    CONTROLLER,
    LABEL_MANAGED_BY,
    LABEL_SLICE_MANAGED_BY,
    MANAGER,
    SYSTEM_NAMESPACE,
)
from mesh_runtime.kube import (
    CLUSTER_PROPERTIES,
    ENDPOINT_SLICES,
    IMPORTED_RECORDS,
    IMPORTED_SHARDS,
    LEASES,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    SERVICES,
    Resource,
)

pytestmark = pytest.mark.asyncio

WRITTEN: tuple[tuple[Resource, str], ...] = (  # type: ignore[type-arg]  # of many types
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
        for resource, labels in WRITTEN:
            for item in (await world.kube(cluster).list(resource, labels=labels)).items:
                meta = item.metadata
                place = (cluster, resource.kind, meta.namespace, meta.name)
                found[place] = (meta.uid, meta.resource_version)
    return found


async def leader(world: World, cluster: str) -> str | None:
    lease = await world.kube(cluster).find(LEASES, CONTROLLER, namespace=SYSTEM_NAMESPACE)
    return lease.spec.holder_identity if lease else None


def is_not_in(some: tuple[str | None, ...], found: str | None) -> bool:
    return found not in some


async def controllers(world: World, cluster: str) -> list[str]:
    labels = "app.kubernetes.io/component=controller"
    page = await world.kube(cluster).list(PODS, namespace=SYSTEM_NAMESPACE, labels=labels)
    return [pod.metadata.name for pod in page.items]


async def test_m13_d4_a_restart_of_the_controllers_changes_no_object(world: World) -> None:
    before = await versions(world)
    assert len(before) > 100
    old = {cluster: await leader(world, cluster) for cluster in CLUSTERS}
    for cluster in CLUSTERS:
        for pod in await controllers(world, cluster):
            await world.kube(cluster).delete(PODS, pod, namespace=SYSTEM_NAMESPACE)
    for cluster in CLUSTERS:
        was = (None, "", old[cluster])
        await seen(partial(leader, world, cluster), partial(is_not_in, was))
    # An export that comes after it and is imported on both sides: both have worked all that was there.
    for cluster, other in (CLUSTERS, CLUSTERS[::-1]):
        await world.apply(cluster, *both(f"after-restart-{cluster}"))
        await seen(
            partial(world.imported, other, f"after-restart-{cluster}"), lambda found: found is not None
        )
    after = await versions(world)
    assert {place: after.get(place) for place in before} == before
