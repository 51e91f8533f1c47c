"""Nothing fits, so a cluster is ordered; a provider brings it; it stands idle and is given back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.placing_scene import HUB_USER, NAMESPACE, PlacingScene, placing_scene
from mesh_fakes.provider_contract import PaperProvider, keeps_the_contract
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until_found
from mesh_placement.hub.caches import HubCaches
from mesh_placement.hub.placing.caches import PlacementCaches
from mesh_placement.hub.placing.loop import PlacementLoop
from mesh_placement.hub.placing.order_loop import OrderLoop
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import (
    ANNOTATION_FORMERLY,
    CLAIM_FINALIZER,
    DEDICATED,
    HUB_INFO,
    JOIN_KUBECONFIG_PREFIX,
    PROVIDER_FINALIZER,
)
from mesh_placement.objects import ClusterClaim
from mesh_placement.provide.answer_loop import AnswerLoop
from mesh_placement.resources import CLUSTER_CLAIMS, CLUSTER_REGISTRATIONS, CLUSTER_SETS, PLACEMENTS
from mesh_runtime.kube import CONFIG_MAPS, DEPLOYMENTS, SECRETS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

Json = dict[str, Any]  # Any: JSON
RULE: Json = {
    "provider": "local",
    "maxClusters": 1,
    "offers": {"cpu": "64"},
    "drainWhenIdleSeconds": 30,
    "afterSeconds": 5,
}


def big(cpu: str = "20", *, name: str = "web") -> Json:
    """A Deployment of one pod that no cluster of the scene takes: they have 16 cpu on a node."""
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [container]}}},
    }


@asynccontextmanager
async def ordering(scene: PlacingScene) -> AsyncIterator[None]:
    """A hub that places and orders, while the block runs."""
    kube, scheduling = scene.api.client(HUB_USER), installed_scheduling()
    hub = HubCaches(kube)
    caches = PlacementCaches(kube, hub=hub)
    places = PlacementLoop(kube, caches=caches, scheduling=scheduling, clock=scene.clock)
    loops = places, OrderLoop(kube, caches=caches, demand_of=places.demand_of, clock=scene.clock)
    async with under_way(hub.run(), caches.run()):
        await hub.until_synced()
        await caches.until_synced()
        async with under_way(*(one.run() for one in loops)):
            yield


@asynccontextmanager
async def answering(scene: PlacingScene, provider: PaperProvider) -> AsyncIterator[None]:
    """The provider's program, while the block runs; start another one for a restart."""
    loop = AnswerLoop(scene.api.client("provider"), provider=provider)
    async with under_way(loop.watch_claims(), loop.watch_registrations(), loop.run()):
        yield


async def allowed(scene: PlacingScene, **rule: Any) -> None:
    await scene.admin.merge_patch(CLUSTER_SETS, "prod", {"spec": {"provision": {**RULE, **rule}}})


async def claims(scene: PlacingScene) -> list[ClusterClaim]:
    return sorted((await scene.admin.list(CLUSTER_CLAIMS)).items, key=lambda one: one.metadata.name)


async def claim_in(scene: PlacingScene, phase: str, *, limit: float = 300.0) -> ClusterClaim:
    """The one claim once it is in that phase."""

    async def is_there() -> bool:
        return [one.status.phase for one in await claims(scene)] == [phase]

    await until_found(is_there, limit=limit)
    (found,) = await claims(scene)
    return found


async def gone(scene: PlacingScene, *, limit: float = 3600.0) -> None:
    """No claim any more."""

    async def is_gone() -> bool:
        return not await claims(scene)

    await until_found(is_gone, limit=limit)


async def joined(scene: PlacingScene, name: str) -> None:
    """The cluster of a claim has joined: the registration that its provider wrote is Ready, with room."""
    there = await scene.admin.get(CLUSTER_REGISTRATIONS, name)
    assert there.spec.provision is not None and there.spec.accepted
    await scene.cluster(name)
    room = {"cpu": "64", "memory": "64Gi", "pods": "100"}
    await scene.roomy(name, room)


@pytest.mark.parametrize("origin", [None, {"uid": "of-another-hub", "created": "2026-01-01T00:00:00Z"}])
async def test_what_lies_on_the_hub_and_finds_no_room_gets_a_cluster_too(
    origin: dict[str, str] | None,
) -> None:
    """The Placement itself says nothing of what it asks for: its template does; on a hub that has taken over
    from another one, too."""
    async with placing_scene() as scene:
        meta = {"name": HUB_INFO, "namespace": "kube-public"}
        info = {"server": "https://hub", "ca.crt": "PEM", DEDICATED: "true"}
        await scene.admin.apply(CONFIG_MAPS, {"metadata": meta, "data": info}, field_manager="test")
        kind = {"name": "deployments", "kind": "Deployment", "namespaced": True}
        scene.api.pages["/apis/apps/v1"] = {"resources": [kind]}
        await allowed(scene)
        await scene.cluster("east")
        await scene.admin.create(DEPLOYMENTS, big())
        chosen = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
        rule = {"policy": "Divide", "count": 1}
        await scene.place(manifests=[], resourceSelectors=[chosen], replicas=rule)
        told: dict[str, object] = {"status": {"origin": origin} if origin else {}}
        await scene.admin.merge_patch(PLACEMENTS, "app", told, namespace=NAMESPACE, subresource="status")
        async with ordering(scene), answering(scene, PaperProvider()):
            claim = await claim_in(scene, "Joining")
            assert claim.spec.need == {"cpu": "20"}


async def test_what_finds_no_room_gets_a_cluster_that_is_given_back_when_it_stands_idle() -> None:
    async with placing_scene() as scene:
        provider = PaperProvider()
        await allowed(scene)
        await scene.cluster("east")
        async with ordering(scene), answering(scene, provider):
            await scene.place(manifests=[big()], replicas={"policy": "Divide", "count": 1})
            await claim_in(scene, "Joining")
            (claim,) = await claims(scene)
            assert claim.metadata.name == "prod-1"
            assert claim.spec.need == {"cpu": "20"}
            assert "shop/app" in claim.spec.because and "16" in claim.spec.because
            assert {CLAIM_FINALIZER, PROVIDER_FINALIZER} <= set(claim.metadata.finalizers)
            secret = await scene.admin.get(
                SECRETS, f"{JOIN_KUBECONFIG_PREFIX}prod-1", namespace=SYSTEM_NAMESPACE
            )
            assert secret.data["kubeconfig"]

            await joined(scene, "prod-1")
            await scene.decided(revision=1)
            ready = await claim_in(scene, "Ready")
            assert ready.status.used and ready.status.idle_since == ""
            assert [one.cluster for one in (await scene.placement()).status.clusters] == ["prod-1"]

            await scene.admin.delete(PLACEMENTS, "app", namespace=NAMESPACE)
            await scene.let_go("prod-1")
            await gone(scene)
        assert provider.deeds == ["create prod-1", "delete prod-1"]
        assert await scene.admin.find(CLUSTER_REGISTRATIONS, "prod-1") is None
        assert await scene.admin.find(CLUSTER_REGISTRATIONS, "east") is not None


async def test_while_one_is_on_its_way_no_second_one_is_ordered_and_a_failure_is_told() -> None:
    async with placing_scene() as scene:
        provider = PaperProvider(refuses="no address is free")
        await allowed(scene, maxClusters=5)
        await scene.cluster("east")
        async with ordering(scene), answering(scene, provider):
            for number in range(4):
                await scene.place(f"app{number}", manifests=[big(name=f"web{number}")])

            async def has_failed() -> bool:
                return any(
                    "no address is free" in condition.message
                    for one in await claims(scene)
                    for condition in one.status.conditions
                )

            await until_found(has_failed, limit=300.0)
            assert len(await claims(scene)) == 1
            provider.refuses = ""
            await claim_in(scene, "Joining")
        assert provider.deeds == ["create prod-1"]


async def test_a_set_that_does_not_say_so_has_no_cluster_ordered_for_it() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        async with ordering(scene):
            await scene.place(manifests=[big()])

            async def is_told() -> bool:
                conditions = (await scene.placement()).status.conditions
                return any(one.reason == "NoClusterFits" for one in conditions)

            await until_found(is_told)
            await scene.place("later")  # decided after it, so that the hub has had its time
            await scene.decided("later", revision=1)
        assert await claims(scene) == []


async def test_a_cluster_of_that_name_that_somebody_registered_is_left_alone() -> None:
    async with placing_scene() as scene:
        provider = PaperProvider()
        await scene.cluster("mine")
        spec = {"clusterSet": "prod", "provider": "local"}
        await scene.admin.create(CLUSTER_CLAIMS, {"metadata": {"name": "mine"}, "spec": spec})
        async with ordering(scene), answering(scene, provider):
            await claim_in(scene, "Ordered")
            await scene.admin.delete(CLUSTER_CLAIMS, "mine")
            await gone(scene)
        assert provider.deeds == []
        there = await scene.admin.get(CLUSTER_REGISTRATIONS, "mine")
        assert there.metadata.deletion_timestamp is None


async def test_a_person_orders_changes_the_nodes_and_deletes_though_hub_and_provider_start_anew() -> None:
    async with placing_scene() as scene:
        provider = PaperProvider()
        spec = {"clusterSet": "prod", "provider": "local"}
        await scene.admin.create(CLUSTER_CLAIMS, {"metadata": {"name": "more"}, "spec": spec})
        async with ordering(scene), answering(scene, provider):
            await claim_in(scene, "Joining")
        await scene.admin.merge_patch(CLUSTER_CLAIMS, "more", {"spec": {"nodes": 3}})
        async with ordering(scene), answering(scene, provider):

            async def has_three() -> bool:
                (found,) = await claims(scene)
                return found.status.provider.nodes == 3

            await until_found(has_three)
        await scene.admin.delete(CLUSTER_CLAIMS, "more")
        async with ordering(scene):
            await claim_in(scene, "Left")

            async def is_let_go() -> bool:
                (found,) = await claims(scene)
                return CLAIM_FINALIZER not in found.metadata.finalizers

            # The word comes first: a hub that stopped between both would leave the rest to the next one.
            await until_found(is_let_go)
            assert provider.made, "nobody destroys it but its provider"
        async with answering(scene, provider):
            await gone(scene)
        assert provider.deeds == ["create more", "scale more", "delete more"]


async def test_a_claim_that_came_back_from_a_backup_has_its_cluster_and_its_provider_yet() -> None:
    provider = PaperProvider()
    spec = {"clusterSet": "prod", "provider": "local", "nodes": 2}
    async with placing_scene() as lost:
        await lost.admin.create(CLUSTER_CLAIMS, {"metadata": {"name": "more"}, "spec": spec})
        async with ordering(lost), answering(lost, provider):
            await claim_in(lost, "Joining")
        (before,) = await claims(lost)
        came = (await lost.admin.get(CLUSTER_REGISTRATIONS, "more")).spec
    async with placing_scene() as scene:
        await scene.admin.create(
            CLUSTER_REGISTRATIONS, {"metadata": {"name": "more"}, "spec": msgspec.to_builtins(came)}
        )
        kept = {
            "name": "more",
            "annotations": {ANNOTATION_FORMERLY: before.metadata.uid},
            "finalizers": list(before.metadata.finalizers),
        }
        async with ordering(scene), answering(scene, provider):
            await scene.admin.create(CLUSTER_CLAIMS, {"metadata": kept, "spec": {**spec, "nodes": 3}})
            back = await claim_in(scene, "Joining")
            assert back.metadata.uid != before.metadata.uid

            async def has_three() -> bool:
                (found,) = await claims(scene)
                return found.status.provider.nodes == 3

            await until_found(has_three)
            await scene.admin.delete(CLUSTER_CLAIMS, "more")
            await gone(scene)
    assert await scene.admin.find(CLUSTER_REGISTRATIONS, "more") is None
    assert provider.deeds == ["create more", "scale more", "delete more"] and not provider.made


async def test_the_provider_on_paper_keeps_the_contract() -> None:
    await keeps_the_contract(PaperProvider())
