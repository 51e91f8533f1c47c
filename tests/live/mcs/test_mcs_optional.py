"""The optional specs of the official suite, each by its number in the suite's order (v0.5.0)."""

import re

import pytest

from live.mcs.world import CLUSTERS, Reply, World, host, ready_addresses
from mesh_core.names import LABEL_SERVICE_NAME, LABEL_SLICE_MANAGED_BY, LABEL_SOURCE_CLUSTER

pytestmark = pytest.mark.asyncio

SRV = re.compile(r"(\d+) (\d+) (\d+) (\S+)")


def targets(data: tuple[str, ...]) -> list[tuple[int, str]]:
    """Port and target of SRV records, in order."""
    found = [SRV.fullmatch(text) for text in data]
    return sorted((int(one[3]), one[4]) for one in found if one)


def clusters_of(replies: list[Reply]) -> set[str]:
    return {reply.cluster for reply in replies}


async def test_O01_only_what_the_export_names_is_propagated(world: World) -> None:
    for cluster in CLUSTERS:
        meta = (await world.the_import(cluster, "hello")).metadata
        assert meta.labels["team"] == "a" and meta.annotations["note"] == "a"
        assert not [key for key in (*meta.labels, *meta.annotations) if key.startswith("dummy")]


async def test_O02_c3_of_two_maps_the_older_is_taken_whole(world: World) -> None:
    for cluster in CLUSTERS:
        meta = (await world.the_import(cluster, "maps")).metadata
        assert meta.labels["team"] == "a" and meta.annotations["note"] == "a"
        assert "b" not in meta.labels and "b" not in meta.annotations
        verdict = await world.verdict(cluster, "maps", "Conflict")
        assert verdict == "True LabelsConflict,AnnotationsConflict"


async def test_O03_f2_each_cluster_has_slices_with_the_labels_of_the_standard(world: World) -> None:
    for cluster in CLUSTERS:
        for piece in await world.slices(cluster, "hello", source="east"):
            assert piece.metadata.labels[LABEL_SERVICE_NAME] == "hello"
            assert piece.metadata.labels[LABEL_SOURCE_CLUSTER] == "east"
            assert piece.metadata.labels[LABEL_SLICE_MANAGED_BY] == "controller.meshctl.dev"
            assert piece.address_type == "IPv4" and piece.endpoints


async def test_O04_e1_the_name_of_a_cluster_set_ip_is_its_ip_in_each_cluster(world: World) -> None:
    for cluster in CLUSTERS:
        [answer] = world.dig(cluster, (host("hello"), "A"))
        assert answer.data == (await world.the_import(cluster, "hello")).spec.ips


async def test_O05_e1_e5_srv_names_each_port_and_the_bare_name_each_number_once(world: World) -> None:
    questions = [(host("hello"), "SRV"), (f"_tcp._tcp.{host('hello')}", "SRV")]
    for cluster in CLUSTERS:
        for answer in world.dig(cluster, *questions):
            assert targets(answer.data) == [(42, host("hello"))]
            assert answer.is_authoritative


async def test_O06_d1_cluster_local_answers_with_the_local_service(world: World) -> None:
    for cluster in CLUSTERS:
        [answer] = world.dig(cluster, ("hello.mcs.svc.cluster.local.", "A"))
        assert answer.data == ((await world.service(cluster, "hello")).spec.cluster_ip,)
        replies = await world.reached(cluster, "hello.mcs.svc.cluster.local.", 42, count=5)
        assert clusters_of(replies) == {cluster}


async def test_O07_a_headless_name_answers_with_all_ready_endpoints(world: World) -> None:
    """On one network with the pods' own addresses; from another network with a stand-in for each."""
    pods = sorted(pod.status.pod_ip for pod in await world.pods("east", "app=bare"))
    for cluster in CLUSTERS:
        [answer] = world.dig(cluster, (host("headless"), "A"))
        if world.is_flat or cluster == "east":
            assert sorted(answer.data) == pods
        assert sorted(answer.data) == ready_addresses(await world.slices(cluster, "headless"))
        assert len(answer.data) == 2
        for address in answer.data:
            assert clusters_of(await world.reached(cluster, address, 8080)) == {"east"}


async def test_O08_e1_m1_a_pod_of_a_stateful_set_has_a_name_that_connects(world: World) -> None:
    for cluster in CLUSTERS:
        [piece] = await world.slices(cluster, "db")
        endpoints = {one.hostname: one for one in piece.endpoints or ()}
        assert set(endpoints) == {"db-0", "db-1"}
        for hostname, endpoint in endpoints.items():
            assert endpoint.is_ready
            [answer] = world.dig(cluster, (f"{hostname}.east.{host('db')}", "A"))
            assert answer.data == endpoint.addresses
            [reply] = await world.reached(cluster, f"{hostname}.east.{host('db')}", 8080)
            assert (reply.cluster, reply.pod) == ("east", hostname)


async def test_O09_e1_e4_srv_of_a_headless_name_names_each_endpoint(world: World) -> None:
    """An endpoint without a host name is called by its own address in its own cluster."""
    pods = [pod.status.pod_ip.replace(".", "-") for pod in await world.pods("east", "app=bare")]
    for cluster in CLUSTERS:
        bare, named = world.dig(cluster, (host("headless"), "SRV"), (host("db"), "SRV"))
        assert targets(bare.data) == sorted((8080, f"{pod}.east.{host('headless')}") for pod in pods)
        assert targets(named.data) == [(8080, f"db-{n}.east.{host('db')}") for n in (0, 1)]


async def test_O10_an_exported_service_is_reached_by_its_name(world: World) -> None:
    for cluster in CLUSTERS:
        # Without a dot at the end, as people write it: the search domains are tried first.
        replies = await world.reached(cluster, host("hello").rstrip("."), 42)
        assert clusters_of(replies) == {"east"}


async def test_O11_d1_only_the_cluster_that_exports_is_reached(world: World) -> None:
    for cluster in CLUSTERS:
        assert clusters_of(await world.reached(cluster, host("hello"), 42, count=10)) == {"east"}


async def test_O12_c3_f4_a_port_that_lost_its_number_draws_no_traffic_for_the_winner(world: World) -> None:
    for cluster in CLUSTERS:
        assert clusters_of(await world.reached(cluster, host("same-name"), 42, count=10)) == {"east"}
        west = await world.slices(cluster, "same-name", source="west")
        # West's `tcp` is another port: kube-proxy matches by name and would send it east's calls.
        assert not [port for piece in west for port in piece.ports or () if port.name == "tcp"]


async def test_O13_c3_f4_a_port_is_reached_only_in_the_cluster_that_has_it(world: World) -> None:
    for cluster in CLUSTERS:
        assert clusters_of(await world.reached(cluster, host("other-name"), 42, count=10)) == {"east"}
        assert clusters_of(await world.reached(cluster, host("other-name"), 4242, count=10)) == {"west"}
