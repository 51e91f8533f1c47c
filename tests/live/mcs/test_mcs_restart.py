"""A restart of both controllers at once changes no object of theirs."""

from functools import partial

import pytest

from live.at_rest import at_rest
from live.mcs.rest import versions
from live.mcs.scene import both
from live.mcs.world import CLUSTERS, PODS, World, seen
from mesh_core.names import CONTROLLER, SYSTEM_NAMESPACE
from mesh_runtime.kube import LEASES

pytestmark = pytest.mark.asyncio


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
    # What other tests have changed is over.
    before = await at_rest(lambda: versions(world))
    assert len(before) > 100
    old = {cluster: await leader(world, cluster) for cluster in CLUSTERS}
    for cluster in CLUSTERS:
        for pod in await controllers(world, cluster):
            await world.kube(cluster).delete(PODS, pod, namespace=SYSTEM_NAMESPACE)
    for cluster in CLUSTERS:
        was = (None, "", old[cluster])
        await seen(partial(leader, world, cluster), partial(is_not_in, was), limit=240)
    # An export that comes after it and is imported on both sides: both have worked all that was there.
    for cluster, other in (CLUSTERS, CLUSTERS[::-1]):
        await world.apply(cluster, *both(f"after-restart-{cluster}"))
        await seen(
            partial(world.imported, other, f"after-restart-{cluster}"), lambda found: found is not None
        )
    after = await versions(world)
    assert {place: after.get(place) for place in before} == before
