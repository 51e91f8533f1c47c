"""The required specs of the official suite, each by its number in the suite's order (v0.5.0)."""

import ipaddress
from functools import partial

import pytest

from conformance.mode import Mode
from live.mcs.world import CLUSTERS, NAMESPACE, World, host, seen
from mesh_core.names import (
    LABEL_NAMESPACE,
    LABEL_SERVICE,
    SYSTEM_NAMESPACE,
    imported_record_name,
    shadow_service_name,
)
from mesh_core.objects import ServiceImport
from mesh_runtime.kube import IMPORTED_RECORDS, SERVICE_EXPORTS, SERVICES

pytestmark = pytest.mark.asyncio

Port = tuple[str, str, int, str | None]


def ports_of(found: ServiceImport) -> list[Port]:
    return sorted((port.name, port.protocol, port.port, port.app_protocol) for port in found.spec.ports)


async def test_R01_an_import_exists_as_long_as_one_cluster_exports_it(world: World) -> None:
    assert await world.imported("east", "both")
    await world.east.delete(SERVICE_EXPORTS, "both", namespace=NAMESPACE)

    async def exporters(cluster: str) -> list[str] | None:
        found = await world.imported(cluster, "both")
        return [one.cluster for one in found.status.clusters] if found else None

    for cluster in CLUSTERS:
        # An import that vanished on the way would be seen here: None is no list.
        assert await seen(partial(exporters, cluster), lambda found: found != ["east", "west"]) == ["west"]
    await world.west.delete(SERVICE_EXPORTS, "both", namespace=NAMESPACE)
    for cluster in CLUSTERS:
        await seen(partial(exporters, cluster), lambda found: found is None)


@pytest.mark.parametrize(("name", "kind"), [("gone", "ClusterSetIP"), ("headless-gone", "Headless")])
async def test_R02_R10_O03_an_export_makes_an_import_in_each_cluster_and_an_unexport_takes_it(
    world: World, name: str, kind: str
) -> None:
    assert await world.verdict("east", name, "Valid") == "True Valid"
    for cluster in CLUSTERS:
        assert (await world.the_import(cluster, name)).spec.type == kind
        assert await world.slices(cluster, name, source="east")
    assert {trace.split()[0] for trace in await traces(world, name)} == expected_traces(kind, mode=world.mode)
    await world.east.delete(SERVICE_EXPORTS, name, namespace=NAMESPACE)
    for cluster in CLUSTERS:
        await seen(partial(world.imported, cluster, name), lambda found: found is None)
        await seen(partial(world.slices, cluster, name), lambda found: not found)
    await seen(partial(traces, world, name), lambda found: not found)


def expected_traces(kind: str, *, mode: Mode) -> set[str]:
    if kind == "ClusterSetIP":
        return {"record", "shadow"}
    return {"record", "stand-in"} if mode is Mode.GATEWAY else {"record"}


async def traces(world: World, name: str) -> list[str]:
    """What else there is in west because of an import."""
    west = world.west
    shadow = shadow_service_name(namespace=NAMESPACE, name=name)
    record = imported_record_name(cluster="east", namespace=NAMESPACE, service=name)
    labels = f"{LABEL_NAMESPACE}={NAMESPACE},{LABEL_SERVICE}={name}"
    stand_ins = (await west.list(SERVICES, namespace=SYSTEM_NAMESPACE, labels=labels)).items
    found = ["shadow"] if await west.find(SERVICES, shadow, namespace=NAMESPACE) else []
    found += ["record"] if await west.find(IMPORTED_RECORDS, record, namespace=SYSTEM_NAMESPACE) else []
    return found + [f"stand-in {one.metadata.name}" for one in stand_ins]


async def test_R03_R04_R05_affinity_policy_and_distribution_are_those_of_the_service(world: World) -> None:
    for cluster in CLUSTERS:
        spec = (await world.the_import(cluster, "hello")).spec
        assert spec.session_affinity == "ClientIP"
        assert spec.session_affinity_config and spec.session_affinity_config.client_ip
        assert spec.session_affinity_config.client_ip.timeout_seconds == 10
        assert spec.internal_traffic_policy == "Cluster"
        assert spec.traffic_distribution == "PreferClose"


async def test_R06_an_import_has_an_ip_for_each_family_in_the_same_order(world: World) -> None:
    for cluster in CLUSTERS:
        found = await world.the_import(cluster, "hello")
        spec = found.spec
        assert spec.ips and len(spec.ips) == len(spec.ip_families)
        # Still the spec of its first moment: nobody ever saw it without them, or one without the other.
        assert found.metadata.generation == 1
        families = [f"IPv{ipaddress.ip_address(address).version}" for address in spec.ips]
        assert families == list(spec.ip_families)
        assert len(set(families)) == len(families)


async def test_R07_the_ports_are_those_of_the_service(world: World) -> None:
    for cluster in CLUSTERS:
        found = ports_of(await world.the_import(cluster, "hello"))
        assert found == [("tcp", "TCP", 42, None), ("udp", "UDP", 42, None)]


async def test_R08_c3_two_exports_show_the_union_of_their_ports_and_a_conflict(world: World) -> None:
    for cluster in CLUSTERS:
        found = ports_of(await world.the_import(cluster, "union"))
        assert found == [("stcp", "SCTP", 142, None), ("tcp", "TCP", 42, None), ("udp", "UDP", 42, None)]
        assert await world.verdict(cluster, "union", "Conflict") == "True PortConflict"


async def test_R09_c3_the_newer_of_two_ports_of_one_name_is_dropped(world: World) -> None:
    for cluster in CLUSTERS:
        found = ports_of(await world.the_import(cluster, "renumbered"))
        assert found == [("tcp", "TCP", 42, None), ("udp", "UDP", 42, None)]
        assert await world.verdict(cluster, "renumbered", "Conflict") == "True PortConflict"


async def test_c3_the_newer_of_two_ports_of_one_number_is_dropped(world: World) -> None:
    for cluster in CLUSTERS:
        assert ports_of(await world.the_import(cluster, "same-number")) == [("tcp", "TCP", 42, None)]
        assert await world.verdict(cluster, "same-number", "Conflict") == "True PortConflict"


async def test_R11_a_headless_import_has_no_ip(world: World) -> None:
    for cluster in CLUSTERS:
        found = await world.the_import(cluster, "headless")
        assert found.spec.type == "Headless" and found.spec.ips == ()
        assert found.spec.ip_families == ("IPv4",)


async def test_R12_an_external_name_is_not_valid_and_not_imported(world: World) -> None:
    assert await world.verdict("east", "external", "Valid") == "False InvalidServiceType"
    for cluster in CLUSTERS:
        assert await world.imported(cluster, "external") is None


async def test_R13_of_a_headless_and_another_export_the_older_wins(world: World) -> None:
    for cluster in CLUSTERS:
        found = await world.the_import(cluster, "kinds")
        assert found.spec.type == "ClusterSetIP" and found.spec.ips
        assert await world.verdict(cluster, "kinds", "Conflict") == "True TypeConflict"


async def test_R14_d1_a_service_that_nobody_exports_is_not_reached(world: World) -> None:
    for cluster in CLUSTERS:
        [answer] = world.dig(cluster, (host("secret"), "A"))
        assert answer.summary == "NXDOMAIN"
        assert world.calls(cluster, host("secret"), 42, count=3) == []
        assert await world.imported(cluster, "secret") is None
