"""What a call meets: which pods, by which ports, under which policies."""

from collections import Counter
from functools import partial

import pytest

from live.hello import Hello
from live.mcs.world import CLUSTERS, NAMESPACE, PODS, Reply, World, host, ready_addresses, seen
from live.test_gateway_door import credentials, say
from mesh_core.identity import Component
from mesh_core.names import (
    LABEL_KUBERNETES_SERVICE,
    LABEL_SERVICE_NAME,
)
from mesh_core.objects import EndpointHints
from mesh_runtime.kube import DEPLOYMENTS, ENDPOINT_SLICES
from mesh_runtime.tls import client_context
from mesh_runtime.trust_dir import load_trust_dir

pytestmark = pytest.mark.asyncio

CALLS = 60


def zones_of(hints: EndpointHints | None) -> set[str]:
    return {zone.name for zone in hints.for_zones or ()} if hints else set()


def clusters_of(replies: list[Reply]) -> Counter[str]:
    return Counter(reply.cluster for reply in replies)


async def test_m2_the_name_of_a_pod_stays_over_its_restart(world: World) -> None:
    """Between networks its address stays as well: clients of stateful services keep addresses."""
    name = f"db-1.east.{host('db')}"
    [before] = await world.reached("west", name, 8080)
    [old] = world.dig("west", (name, "A"))
    [pod] = [pod for pod in await world.pods("east", "app=db") if pod.metadata.name == "db-1"]
    await world.east.delete(PODS, "db-1", namespace=NAMESPACE, uid=pod.metadata.uid)

    async def called() -> list[Reply]:
        return world.calls("west", name, 8080)

    [after] = await seen(called, lambda found: [one.address for one in found] not in ([], [before.address]))
    assert (after.cluster, after.pod) == ("east", "db-1")
    wanted = (after.address,) if world.is_flat else old.data

    async def named() -> tuple[str, ...]:
        return world.dig("west", (name, "A"))[0].data

    # One server of names may follow before the other.
    await seen(named, lambda found: found == wanted)


async def test_m3_a_target_port_that_is_another_number_in_each_pod_is_followed(world: World) -> None:
    """Pod `one` calls 8080 `main`, pod `two` 8081; so do the slices, the SRV records and the gateways."""
    for cluster in CLUSTERS:
        replies = await world.reached(cluster, host("named-port"), 42, count=20)
        assert {(reply.pod, reply.port) for reply in replies} == {("one", "8080"), ("two", "8081")}
        for pod, port in (("one", 8080), ("two", 8081)):
            name = f"{pod}.east.{host('mixed')}"
            [reply] = await world.reached(cluster, name, port)
            assert (reply.pod, reply.port) == (pod, str(port))
        [answer] = world.dig(cluster, (f"_tcp._tcp.{host('mixed')}", "SRV"))
        assert {tuple(text.split()[2:]) for text in answer.data} == {
            ("8080", f"one.east.{host('mixed')}"),
            ("8081", f"two.east.{host('mixed')}"),
        }


async def test_m4_a_service_without_a_selector_is_reached(world: World) -> None:
    assert await world.verdict("east", "manual", "Ready") == "True Exported"
    for cluster in CLUSTERS:
        [reply] = await world.reached(cluster, host("manual"), 42)
        assert (reply.cluster, reply.pod) == ("east", "one")


async def test_m5_udp_is_carried_on_one_network_and_between_networks(world: World) -> None:
    found = await world.condition("east", "hello", "Ready")
    assert found and found.status == "True"
    assert "UDP" not in found.message

    async def called(cluster: str) -> list[Reply]:
        return world.udp_calls(cluster, host("hello"), 42)

    for cluster in CLUSTERS:
        [reply] = await seen(partial(called, cluster), bool)
        assert (reply.cluster, reply.port) == ("east", "udp")


async def test_m6_what_has_nothing_but_sctp_is_refused_by_a_condition(world: World) -> None:
    found = await world.condition("east", "only-sctp", "Ready")
    assert found and (found.status, found.reason) == ("False", "Failed")
    assert "SCTP" in found.message
    assert await world.imported("west", "only-sctp") is None
    partly = await world.condition("west", "union", "Ready")
    assert partly and partly.status == "True" and "SCTP is not carried" in partly.message


@pytest.mark.parametrize("name", ["unknown-policy", "bad-policy"])
async def test_m7_an_annotation_that_is_not_understood_withholds_the_export(world: World, name: str) -> None:
    assert await world.verdict("east", name, "Valid") == "True Valid"
    assert await world.verdict("east", name, "Ready") == "False InvalidPolicy"
    for cluster in CLUSTERS:
        assert await world.imported(cluster, name) is None


async def test_m8_only_those_whom_an_export_allows_can_use_it_and_all_see_it(world: World) -> None:
    assert (await world.the_import("west", "for-north")).spec.ips
    assert ready_addresses(await world.slices("west", "for-north")) == []
    assert world.calls("west", host("for-north"), 42, count=3) == []
    assert clusters_of(await world.reached("west", host("for-west"), 42)) == {"east": 1}
    for name, audience in (("for-north", "north"), ("for-west", "west")):
        found = await world.condition("east", name, "Ready")
        assert found and f"exported to {audience} only" in found.message


async def test_m8_the_gateway_refuses_whom_the_export_does_not_name(world: World) -> None:
    """Though the caller is a member and knows the name: what it is not told is not what protects."""
    trust = load_trust_dir(world.bed.trust)
    west = credentials(world.bed.stand_in("west"), domain=trust.domain, component=Component.GATEWAY)
    tls = client_context(west, roots=[trust.root_pem], alpn=["meshctl/1"])
    door = Hello(world.bed, NAMESPACE, world.east, world.west)
    for name, is_let_in in (("for-west", True), ("hello", True), ("for-north", False)):
        sni = f"42.{host(name).rstrip('.')}"
        said = await seen(partial(say, door, tls, sni=sni), lambda found, to=is_let_in: bool(found) == to)  # type: ignore[misc]  # bound now
        assert said.startswith(b"east ") == is_let_in, (name, said)


async def test_m9_local_first_keeps_to_local_pods_while_one_is_ready(world: World) -> None:
    name, answered = host("local-first"), partial(world.calls, "west", host("local-first"), 42, count=10)
    assert clusters_of(await world.reached("west", name, 42, count=10)) == {"west": 10}

    async def who() -> Counter[str]:
        return clusters_of(answered())

    for replicas, cluster in ((0, "east"), (1, "west")):
        scale = {"spec": {"replicas": replicas}}
        await world.west.merge_patch(DEPLOYMENTS, "near", scale, namespace=NAMESPACE)
        await seen(who, lambda found, there=cluster: found == {there: 10})  # type: ignore[misc]  # bound now


async def test_m10_calls_are_shared_by_ready_endpoints(world: World) -> None:
    """Three pods here, one there: a quarter, as well as kube-proxy's dice say it."""
    replies = await world.reached("west", host("shared"), 42, count=CALLS)
    found = clusters_of(replies)
    assert 0.10 <= found["east"] / CALLS <= 0.45, found
    assert len({reply.pod for reply in replies if reply.cluster == "west"}) == 3


async def test_m11_with_a_traffic_distribution_all_slices_have_hints_or_none(world: World) -> None:
    for cluster in CLUSTERS:
        for name in ("close", "union"):
            slices = await world.slices(cluster, name)
            hints = [one.hints for piece in slices for one in piece.endpoints or ()]
            assert hints and len({one is None for one in hints}) == 1
            assert (hints[0] is not None) == (name == "close")
        # kube-proxy heeds them: what is near is enough.
        assert clusters_of(await world.reached(cluster, host("close"), 42, count=10)) == {cluster: 10}
        own = await world.slices(cluster, "close", source=cluster)
        zones = [zones_of(one.hints) for piece in own for one in piece.endpoints or ()]
        assert zones and all(found == {f"zone-{cluster}"} for found in zones)


async def test_m12_with_an_internal_policy_local_other_clusters_are_listed_but_not_used(world: World) -> None:
    for cluster, other in (CLUSTERS, CLUSTERS[::-1]):
        labels = f"{LABEL_SERVICE_NAME}=only-local"
        page = await world.kube(cluster).list(ENDPOINT_SLICES, namespace=NAMESPACE, labels=labels)
        used = {
            piece.metadata.name: LABEL_KUBERNETES_SERVICE in piece.metadata.labels for piece in page.items
        }
        assert set(used.values()) == {True, False}
        assert ready_addresses(await world.slices(cluster, "only-local", source=other))
        for piece in await world.slices(cluster, "only-local", source=other):
            assert not used[piece.metadata.name]
        assert clusters_of(await world.reached(cluster, host("only-local"), 42, count=10)) == {cluster: 10}
