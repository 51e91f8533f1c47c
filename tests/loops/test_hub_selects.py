"""Templates that lie in a dedicated hub are placed; one that somebody there acts on is none."""

import asyncio
from typing import Any

import pytest

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.placing_scene import NAMESPACE, PlacingScene, config_map, placing_scene
from mesh_fakes.waiting import until_found
from mesh_placement.hub.placing.held import Name
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.hub.placing.sources import Kind, Sources
from mesh_placement.names import DEDICATED, DEPENDENCIES_ACCOUNT, HUB_INFO
from mesh_placement.schedule.bringing import MOST_KINDS, MOST_OBJECTS
from mesh_runtime.kube import CONFIG_MAPS, DEPLOYMENTS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

READER = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{DEPENDENCIES_ACCOUNT}"
ONE = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
ALL = {"apiVersion": "apps/v1", "kind": "Deployment", "matchLabels": {"app": "shop"}}
RESOURCES = {
    "resources": [
        {"name": "deployments", "kind": "Deployment", "namespaced": True},
        {"name": "deployments/status", "kind": "Deployment", "namespaced": True},
        {"name": "things", "kind": "Thing", "namespaced": False},
    ]
}

# JSON, hence Any.
Json = dict[str, Any]


async def hub_is(scene: PlacingScene, dedicated: str) -> None:
    meta = {"name": HUB_INFO, "namespace": "kube-public"}
    body = {"metadata": meta, "data": {"server": "https://hub", "ca.crt": "PEM", DEDICATED: dedicated}}
    await scene.admin.apply(CONFIG_MAPS, body, field_manager="test")
    scene.api.pages["/apis/apps/v1"] = RESOURCES


async def template(scene: PlacingScene, name: str = "web", **more: Any) -> None:
    sources = [{"configMapRef": {"name": "settings"}}]
    spec = {"replicas": 2, "template": {"spec": {"containers": [{"name": "web", "envFrom": sources}]}}}
    meta = {"name": name, "namespace": NAMESPACE, "labels": {"app": "shop"}}
    body: Json = {"metadata": meta, "spec": spec, **more}
    await scene.admin.apply(DEPLOYMENTS, body, field_manager="somebody")


async def select(scene: PlacingScene, *selectors: Json, **spec: Any) -> None:
    await scene.place(manifests=[], resourceSelectors=list(selectors), **spec)


async def given(scene: PlacingScene) -> list[str]:
    """What the one Work brings."""
    return [
        f"{one['kind']}/{one['metadata']['name']}"
        for work in await scene.works()
        for one in work.spec.workload.manifests
    ]


async def until_given(scene: PlacingScene, *wanted: str) -> None:
    async def is_given() -> bool:
        return await given(scene) == list(wanted)

    await until_found(is_given, limit=90.0)


async def until_refused(scene: PlacingScene, reason: str, words: str) -> None:
    async def is_refused() -> bool:
        return any(
            (one.type, one.status, one.reason) == ("Scheduled", "False", reason) and words in one.message
            for one in (await scene.placement()).status.conditions
        )

    await until_found(is_refused, limit=90.0)


async def test_templates_are_placed_as_somebody_wrote_them_and_follow_what_he_changes() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await hub_is(scene, "true")
        await template(scene, status={"observedGeneration": 0})
        async with scene.placing():
            await select(scene, ONE)
            await until_given(scene, "Deployment/web")
            (work,) = await scene.works()
            (manifest,) = work.spec.workload.manifests
            assert manifest["apiVersion"] == "apps/v1" and "status" not in manifest
            assert manifest["metadata"] == {"name": "web", "namespace": "shop", "labels": {"app": "shop"}}
            await template(scene, spec={"replicas": 5})

            async def is_five() -> bool:
                (work,) = await scene.works()
                return bool(work.spec.workload.manifests[0]["spec"]["replicas"] == 5)

            await until_found(is_five)
            assert (await scene.placement()).status.revision == 2


async def test_what_gets_the_labels_comes_and_what_loses_them_goes_and_their_settings_come_along() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await hub_is(scene, "true")
        await template(scene, "a")
        await scene.admin.apply(CONFIG_MAPS, config_map(a="1"), field_manager="somebody")
        async with scene.placing():
            await select(scene, ALL, dependencies="Auto")
            await until_given(scene, "Deployment/a", "ConfigMap/settings")
            await template(scene, "b")
            await until_given(scene, "Deployment/a", "Deployment/b", "ConfigMap/settings")
            await scene.admin.delete(DEPLOYMENTS, "a", namespace=NAMESPACE)
            await until_given(scene, "Deployment/b", "ConfigMap/settings")
            await scene.admin.delete(DEPLOYMENTS, "b", namespace=NAMESPACE)
            await until_refused(scene, "NothingSelected", "members keep what they have")
            assert await given(scene) == ["Deployment/b", "ConfigMap/settings"]


@pytest.mark.parametrize("dependencies", ["None", "Auto"])
async def test_a_hub_that_runs_workloads_takes_none_until_somebody_says_that_it_runs_none(
    dependencies: str,
) -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await hub_is(scene, "false")
        await template(scene)
        async with scene.placing():
            await select(scene, ONE, dependencies=dependencies)
            await until_refused(scene, "TemplateWouldRunOnHub", "this hub runs workloads itself")
            assert await given(scene) == []
            await hub_is(scene, "true")
            await until_given(scene, "Deployment/web")


async def test_a_template_that_a_controller_of_the_hub_acts_on_is_none_and_nothing_is_taken_away() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await hub_is(scene, "true")
        await template(scene)
        async with scene.placing():
            await select(scene, ONE)
            await until_given(scene, "Deployment/web")
            await template(scene, status={"observedGeneration": 1})
            await until_refused(scene, "TemplateWouldRunOnHub", "Deployment/shop/web runs on this hub")
            assert await given(scene) == ["Deployment/web"]


async def test_what_may_not_be_read_or_is_of_no_kind_is_said() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await hub_is(scene, "true")
        await template(scene)
        scene.api.forbidden.add((READER, "deployments"))
        async with scene.placing():
            await select(scene, ONE)
            await until_refused(scene, "MayNotRead", "nobody let the hub read that kind in namespace shop")
            await select(scene, {**ONE, "kind": "Thing"})
            await until_refused(scene, "InvalidManifest", "Thing/shop/web is of no kind with a namespace")
            scene.api.pages["/apis/apps/v1"] = {
                "resources": [
                    *RESOURCES["resources"],
                    {"name": "things", "kind": "Thing", "namespaced": True},
                ]
            }
            await until_refused(scene, "NothingSelected", "mean nothing in namespace shop")
            await select(scene, {"apiVersion": "v1", "kind": "Secret", "name": "password"})
            await until_refused(scene, "SecretInPlacement", "a Secret is no template")
            scene.api.forbidden.clear()
            await select(scene, ONE)
            await until_given(scene, "Deployment/web")


@pytest.mark.parametrize(
    "version", ["apps/v1?x=", "apps/v1/namespaces/other/deployments/web", "../api/v1", "a b"]
)
async def test_a_version_that_would_lead_to_another_path_is_of_no_kind(version: str) -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await hub_is(scene, "true")
        scene.api.pages[f"/apis/{version}"] = RESOURCES
        async with scene.placing():
            await select(scene, {**ONE, "apiVersion": version})
            await until_refused(
                scene, "InvalidManifest", "Deployment/shop/web is of no kind with a namespace"
            )


async def test_a_leader_that_is_new_moves_nothing_of_what_it_has_not_read_yet() -> None:
    """Of templates that are not known no count is either: it would give each cluster all of them."""
    async with placing_scene() as scene:
        for name in ("east", "west", "south"):
            await scene.cluster(name)
        await hub_is(scene, "true")
        await template(scene)
        async with scene.placing(installed_scheduling()):
            await select(scene, ONE, replicas={"policy": "Divide"}, clusters={"count": 2})
            placed = (await scene.decided(revision=1)).status.clusters
            assert [one.replicas for one in placed] == [1, 1]
            await asyncio.sleep(30)
        for _ in range(2):
            async with scene.placing(installed_scheduling()):
                await asyncio.sleep(60)
            status = (await scene.placement()).status
            assert (status.revision, status.clusters) == (1, placed)


@pytest.mark.parametrize("kinds", [1, MOST_KINDS + 1])
async def test_of_selectors_that_mean_too_much_no_template_is_read(
    kinds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    get = Sources._read

    async def reads(sources: Sources, at: Name, kind: Kind) -> None:
        read.append("/".join(at))
        await get(sources, at, kind)

    monkeypatch.setattr(Sources, "_read", reads)
    async with placing_scene() as scene:
        await scene.cluster("east")
        await hub_is(scene, "true")
        versions = [f"v{number}" for number in range(MOST_KINDS + 1)]
        labelled = [{**ALL, "apiVersion": f"apps/{one}"} for one in versions] if kinds > 1 else [ALL]
        for number in range(MOST_OBJECTS + 1 if kinds == 1 else 1):
            await template(scene, f"t{number}")
        async with scene.placing():
            await select(scene, *labelled)
            words = f"more than {MOST_OBJECTS} objects" if kinds == 1 else "of more than 16 kinds"
            await until_refused(scene, "TooMuch", words)
            await asyncio.sleep(10)
            assert read == []
            await select(scene, {**ONE, "name": "t0"})
            await until_given(scene, "Deployment/t0")
        assert read == ["Deployment.v1.apps/shop/t0"]
