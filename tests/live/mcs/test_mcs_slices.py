"""EndpointSlices and the other objects of an import (KEP-1645, "EndpointSlice"; section f of its clauses)."""

import msgspec
import pytest

from live.mcs.world import CLUSTERS, NAMESPACE, World, ready_addresses
from mesh_core.names import (
    ANNOTATION_DERIVED_SERVICE,
    LABEL_KUBERNETES_SERVICE,
    LABEL_SERVICE_NAME,
    LABEL_SOURCE_CLUSTER,
    shadow_service_name,
)
from mesh_core.objects import EndpointSlice
from mesh_runtime.kube import ENDPOINT_SLICES

pytestmark = pytest.mark.asyncio


async def imported_slices(world: World, cluster: str) -> list[EndpointSlice]:
    page = await world.kube(cluster).list(ENDPOINT_SLICES, namespace=NAMESPACE, labels=LABEL_SERVICE_NAME)
    return page.items


async def test_a1_a3_both_versions_of_the_api_show_the_same_import(world: World) -> None:
    """CoreDNS reads v1alpha1, the suite v1beta1; `ports` is there even when it is empty."""
    for cluster in CLUSTERS:
        shown = []
        for version in ("v1alpha1", "v1beta1"):
            path = f"/apis/multicluster.x-k8s.io/{version}/namespaces/{NAMESPACE}/serviceimports/hello"
            shown.append(msgspec.json.decode(await world.kube(cluster).request("GET", path)))
        assert shown[0]["spec"] == shown[1]["spec"] and shown[0]["status"] == shown[1]["status"]
        assert [port["protocol"] for port in shown[1]["spec"]["ports"]] == ["TCP", "UDP"]
        assert set(shown[1]["spec"]["ports"][0]) == {"name", "port", "protocol"}


async def test_a5_the_shadow_service_has_the_ips_and_no_selector(world: World) -> None:
    for cluster in CLUSTERS:
        found = await world.the_import(cluster, "hello")
        name = shadow_service_name(namespace=NAMESPACE, name="hello")
        assert found.metadata.annotations[ANNOTATION_DERIVED_SERVICE] == name
        shadow = await world.service(cluster, name)
        assert shadow.spec.cluster_ips == found.spec.ips and not shadow.spec.selector


async def test_f1_a_slice_has_endpoints_of_one_cluster_and_one_address_type(world: World) -> None:
    for cluster in CLUSTERS:
        for name in ("union", "shared"):
            slices = await world.slices(cluster, name)
            assert {piece.metadata.labels[LABEL_SOURCE_CLUSTER] for piece in slices} == {"east", "west"}
        pods = {c: {pod.status.pod_ip for pod in await world.pods(c, "app=bare")} for c in CLUSTERS}
        own = await world.slices(cluster, "shared", source=cluster)
        assert {one.addresses[0] for piece in own for one in piece.endpoints or ()} <= pods[cluster]


async def test_f5_host_names_and_conditions_are_carried_and_nodes_are_not(world: World) -> None:
    for cluster in CLUSTERS:
        for piece in await imported_slices(world, cluster):
            is_own = piece.metadata.labels[LABEL_SOURCE_CLUSTER] == cluster
            for endpoint in piece.endpoints or ():
                # Two clusters may have nodes of one name.
                assert is_own or endpoint.node_name is None
                assert endpoint.conditions.ready is not None
        named = await world.slices(cluster, "mixed", source="east")
        assert {one.hostname for piece in named for one in piece.endpoints or ()} == {"one", "two"}
        nameless = await world.slices(cluster, "headless", source="east")
        hostnames = {one.hostname for piece in nameless for one in piece.endpoints or ()}
        if world.is_flat or cluster == "east":
            # One that the source does not state would be another name in DNS.
            assert hostnames == {None}
        else:
            # A stand-in is called as the pod would be in its own cluster.
            pods = await world.pods("east", "app=bare")
            assert hostnames == {pod.status.pod_ip.replace(".", "-") for pod in pods}


async def test_f6_no_imported_slice_is_taken_for_one_of_the_users_service(world: World) -> None:
    for cluster in CLUSTERS:
        for piece in await imported_slices(world, cluster):
            service = piece.metadata.labels[LABEL_SERVICE_NAME]
            behind = piece.metadata.labels.get(LABEL_KUBERNETES_SERVICE)
            assert behind in (None, shadow_service_name(namespace=NAMESPACE, name=service))


async def test_f7_the_endpoints_of_one_cluster_are_in_one_slice_while_they_fit(world: World) -> None:
    for cluster in CLUSTERS:
        for name in ("headless", "db"):
            [piece] = [piece for piece in await world.slices(cluster, name) if piece.endpoints]
            assert len(piece.endpoints or ()) == 2


async def test_f8_d3_the_exporter_has_the_import_and_slices_of_its_own_endpoints(world: World) -> None:
    [piece] = await world.slices("east", "hello", source="east")
    pods = await world.pods("east", "app=bare")
    assert ready_addresses([piece]) == sorted(pod.status.pod_ip for pod in pods)


async def test_d5_f10_the_status_names_the_exporters_and_says_that_there_are_slices(world: World) -> None:
    for cluster in CLUSTERS:
        for name, exporters in (("hello", ["east"]), ("union", ["east", "west"]), ("headless", ["east"])):
            status = (await world.the_import(cluster, name)).status
            assert [one.cluster for one in status.clusters] == exporters
            assert status.endpoint_slice_objects == "Present"
            assert [(one.type, one.status) for one in status.conditions] == [("Ready", "True")]
