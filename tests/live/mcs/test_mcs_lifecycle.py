"""When an import comes, stays and goes (KEP-1645, section d of its clauses), and who the members are."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from live.mcs.scene import ENDING, LATE, SOMEBODYS_OWN, both
from live.mcs.services import Exported
from live.mcs.world import CLUSTERS, NAMESPACE, World, host, seen, took
from mesh_core.names import SYSTEM_NAMESPACE, peer_lease_name, shadow_service_name
from mesh_core.objects import LeaseSpec
from mesh_runtime.kube import (
    CLUSTER_PROPERTIES,
    CONFIG_MAPS,
    LEASES,
    NAMESPACES,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    SERVICES,
)

pytestmark = pytest.mark.asyncio

AT_ONCE = 2.0  # seconds


def is_there(found: object) -> bool:
    return found is not None


async def test_d1_an_export_without_a_service_is_not_valid_and_becomes_so_with_it(world: World) -> None:
    verdict = partial(world.verdict, "east", "no-service", "Valid")
    assert await verdict() == "False NoService"
    assert await world.imported("west", "no-service") is None
    await world.apply("east", Exported(name="no-service").service_manifest())
    await seen(verdict, lambda found: found == "True Valid")
    await seen(partial(world.imported, "west", "no-service"), is_there)


async def test_d1_a_service_that_is_deleted_is_withdrawn_and_comes_back(world: World) -> None:
    await world.east.delete(SERVICES, "withdrawn", namespace=NAMESPACE)
    for cluster in CLUSTERS:
        await seen(partial(world.imported, cluster, "withdrawn"), lambda found: found is None)
    withdrawn = partial(world.verdict, "east", "withdrawn", "Valid")
    await seen(withdrawn, lambda found: found == "False NoService")
    await world.apply("east", Exported(name="withdrawn", selector={"app": "bare"}).service_manifest())
    for cluster in CLUSTERS:
        await seen(partial(world.imported, cluster, "withdrawn"), is_there)
    assert await world.reached("west", host("withdrawn"), 42)


async def test_d1_a_node_port_is_exported_as_a_cluster_set_ip(world: World) -> None:
    assert (await world.service("east", "node-port")).spec.type == "NodePort"
    for cluster in CLUSTERS:
        assert (await world.the_import(cluster, "node-port")).spec.type == "ClusterSetIP"
    assert await world.reached("west", host("node-port"), 42)


async def test_d1_an_export_leaves_the_users_service_alone(world: World) -> None:
    service = await world.service("east", "hello")
    assert service.metadata.labels == {"dummy-svc": "x"}
    assert service.metadata.annotations == {"dummy-svc": "x"}
    assert service.metadata.owner_references == () and service.metadata.finalizers == ()


async def test_d2_a_namespace_that_is_made_later_gets_the_import_at_once(world: World) -> None:
    assert await world.verdict("east", "hello", "Ready")
    assert await world.imported("east", "hello", namespace=LATE)
    assert await world.imported("west", "hello", namespace=LATE) is None
    lags = [await imported_after(world, LATE)]
    while lags[-1] >= AT_ONCE and len(lags) < 3:
        # Where the machine, and not the mesh, was late, another one shows it.
        name = f"{LATE}-{len(lags)}"
        await world.east.create(NAMESPACES, {"metadata": {"name": name}})
        try:
            await world.apply("east", *both("hello"), namespace=name)
            await seen(partial(world.imported, "east", "hello", namespace=name), is_there)
            lags.append(await imported_after(world, name))
        finally:
            for cluster in CLUSTERS:
                await world.kube(cluster).delete(NAMESPACES, name)
    assert min(lags) < AT_ONCE, lags

    async def answered() -> str:
        return world.dig("west", (host("hello", namespace=LATE), "A"))[0].summary

    await seen(answered, lambda found: found == "NOERROR 1")


async def imported_after(world: World, name: str) -> float:
    """Seconds from the namespace in west to its import there."""
    await world.west.create(NAMESPACES, {"metadata": {"name": name}})
    there = partial(world.imported, "west", "hello", namespace=name)
    return await took(there, lambda found: found is not None and bool(found.spec.ips))


async def test_d2_a_namespace_that_is_being_deleted_gets_nothing(world: World) -> None:
    """Somebody's finalizer holds it; the export that comes meanwhile is imported elsewhere only."""
    west = world.west
    held = {"name": "held", "namespace": ENDING, "finalizers": ["example.com/held"]}
    await west.create(CONFIG_MAPS, {"metadata": held})
    try:
        await west.delete(NAMESPACES, ENDING)
        await world.apply("east", *both("second"), namespace=ENDING)
        await seen(partial(world.imported, "east", "second", namespace=ENDING), is_there)
        # What comes after it is imported: so the controller has had its turn with this one.
        await world.apply("east", *both("after-second"))
        await seen(partial(world.imported, "west", "after-second"), is_there)
        assert await world.imported("west", "second", namespace=ENDING) is None
        assert await world.slices("west", "second", namespace=ENDING) == []
    finally:
        await west.merge_patch(CONFIG_MAPS, "held", {"metadata": {"finalizers": None}}, namespace=ENDING)


async def test_d3_an_import_does_not_wait_for_endpoints(world: World) -> None:
    for cluster in CLUSTERS:
        assert (await world.the_import(cluster, "empty")).spec.ips
        assert (await world.the_import(cluster, "headless-empty")).spec.type == "Headless"
        assert world.calls(cluster, host("empty"), 42) == []


async def test_d4_an_import_that_is_deleted_or_changed_comes_back_with_its_ip(world: World) -> None:
    before = await world.the_import("west", "deleted")
    shadow = shadow_service_name(namespace=NAMESPACE, name="deleted")
    same = partial(world.imported, "west", "deleted")

    def is_as_before(found: object) -> bool:
        return getattr(found, "spec", None) == before.spec

    await world.west.delete(SERVICE_IMPORTS, "deleted", namespace=NAMESPACE)
    await seen(same, lambda found: is_as_before(found) and found is not None)
    old = await world.service("west", shadow)
    await world.west.delete(SERVICES, shadow, namespace=NAMESPACE)
    made_again = partial(world.west.find, SERVICES, shadow, namespace=NAMESPACE)
    await seen(made_again, lambda one: one is not None and one.metadata.uid != old.metadata.uid)
    assert (await world.service("west", shadow)).spec.cluster_ips == before.spec.ips
    change = {"spec": {"sessionAffinity": "ClientIP", "ports": [{"port": 1, "protocol": "TCP"}]}}
    await world.west.merge_patch(SERVICE_IMPORTS, "deleted", change, namespace=NAMESPACE)
    await seen(same, is_as_before)
    assert await world.reached("west", host("deleted"), 42)


async def test_d6_somebodys_own_import_is_not_overwritten(world: World) -> None:
    found = await world.the_import("west", SOMEBODYS_OWN)
    assert found.metadata.labels == {"mine": "yes"} and found.metadata.annotations == {}
    assert [port.port for port in found.spec.ports] == [1] and found.status.clusters == ()
    assert await world.slices("west", SOMEBODYS_OWN) == []
    assert (await world.the_import("east", SOMEBODYS_OWN)).spec.ips
    await world.east.delete(SERVICE_EXPORTS, SOMEBODYS_OWN, namespace=NAMESPACE)
    await seen(partial(world.imported, "east", SOMEBODYS_OWN), lambda one: one is None)
    assert (await world.the_import("west", SOMEBODYS_OWN)).metadata.uid == found.metadata.uid


async def test_d7_each_cluster_states_its_id_and_its_clusterset(world: World) -> None:
    """KEP-2149."""
    sets = set()
    for cluster in CLUSTERS:
        kube = world.kube(cluster)
        assert (await kube.get(CLUSTER_PROPERTIES, "cluster.clusterset.k8s.io")).spec.value == cluster
        sets.add((await kube.get(CLUSTER_PROPERTIES, "clusterset.k8s.io")).spec.value)
    assert len(sets) == 1 and sets != {""}


async def test_d8_each_source_cluster_has_a_lease_that_says_when_it_was_last_heard(world: World) -> None:
    for cluster, other in (CLUSTERS, CLUSTERS[::-1]):
        name = peer_lease_name(cluster=other)
        lease = partial(world.kube(cluster).get, LEASES, name, namespace=SYSTEM_NAMESPACE)
        # It is renewed, and may be late for once.
        await seen(lease, lambda found: is_heard(found.spec))


def is_heard(spec: LeaseSpec) -> bool:
    assert spec.renew_time and spec.lease_duration_seconds
    age = datetime.now(UTC) - datetime.fromisoformat(spec.renew_time)
    return age < timedelta(seconds=spec.lease_duration_seconds)
