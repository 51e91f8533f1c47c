"""What Placements name comes along out of their namespace of the hub, Secrets beside the Works."""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Condition, Secret
from mesh_fakes.placing_scene import HUB_USER, NAMESPACE, PlacingScene, config_map, placing_scene
from mesh_fakes.waiting import until_found
from mesh_placement.hub.placing.bringing import Bringer
from mesh_placement.hub.placing.held import Name
from mesh_placement.hub.placing.sources import Sources
from mesh_placement.names import (
    ANNOTATION_REVISION,
    ANNOTATION_SOURCE,
    ANNOTATION_TARGET,
    DEPENDENCIES_ACCOUNT,
    LABEL_PLACEMENT,
    WORK_FINALIZER,
)
from mesh_placement.objects import Manifest, Placement
from mesh_placement.resources import ASSIGNMENTS, PLACEMENTS
from mesh_runtime.kube import CONFIG_MAPS, SECRETS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

READER = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{DEPENDENCIES_ACCOUNT}"
COPY = f"{NAMESPACE}.app.password"


def web(**pod: Any) -> Manifest:
    spec = {
        "template": {"spec": {"containers": [{"envFrom": [{"configMapRef": {"name": "settings"}}]}], **pod}}
    }
    meta = {"name": "web", "namespace": NAMESPACE}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


WITH_SECRET = web(imagePullSecrets=[{"name": "password"}])


async def settings(scene: PlacingScene, **data: str) -> None:
    await scene.admin.apply(CONFIG_MAPS, config_map(**data), field_manager="test")


async def password(scene: PlacingScene, word: str, *, kind: str = "Opaque") -> None:
    body = {
        "metadata": {"name": "password", "namespace": NAMESPACE},
        "type": kind,
        "data": {"word": b64encode(word.encode()).decode()},
    }
    await scene.admin.apply(SECRETS, body, field_manager="test")


async def given(scene: PlacingScene, name: str = "app") -> list[tuple[str, ...]]:
    """Kinds and names of what each Work brings."""
    return [
        tuple(f"{one['kind']}/{one['metadata']['name']}" for one in work.spec.workload.manifests)
        for work in await scene.works(name)
    ]


async def copies(scene: PlacingScene) -> dict[str, str]:
    """What is in the copies of Secrets, by their namespace."""
    page = await scene.admin.list(SECRETS, labels=LABEL_PLACEMENT)
    return {one.metadata.namespace: _word(one) for one in page.items}


def _word(one: Secret) -> str:
    return one.data["word"]


def encoded(word: str) -> str:
    return b64encode(word.encode()).decode()


async def said(scene: PlacingScene) -> Condition | None:
    conditions = (await scene.placement()).status.conditions
    return next((one for one in conditions if one.type == "Dependencies"), None)


async def until_said(scene: PlacingScene, reason: str, *words: str) -> None:
    async def is_said() -> bool:
        condition = await said(scene)
        return (
            condition is not None
            and condition.reason == reason
            and all(w in condition.message for w in words)
        )

    await until_found(is_said, limit=90.0)


async def until_given(scene: PlacingScene, *brought: str) -> None:
    async def is_given() -> bool:
        return await given(scene) == [tuple(brought)]

    await until_found(is_given, limit=90.0)


async def test_what_a_template_names_comes_along_in_its_works_and_a_secret_beside_them() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await settings(scene, a="1")
        await password(scene, "sesame")
        async with scene.placing():
            await scene.place(manifests=[WITH_SECRET], dependencies="Auto")
            await until_given(scene, "Deployment/web", "ConfigMap/settings")
            await until_said(scene, "Brought", "1 objects and 1 Secrets")
        (assignment,) = (await scene.assignments()).values()
        assert assignment.spec.secrets == (COPY,)
        copy = await scene.admin.get(SECRETS, COPY, namespace="cluster-east")
        assert copy.metadata.annotations[ANNOTATION_TARGET] == "shop/password"
        assert copy.data == {"word": encoded("sesame")}
        (work,) = await scene.works()
        assert not any(one["kind"] == "Secret" for one in work.spec.workload.manifests)
        wrote = [path for user, _, path in scene.api.requests if user == HUB_USER]
        kinds = ("secrets", "assignments", "works")
        order = [kind for path in wrote if "cluster-east" in path for kind in kinds if f"/{kind}/" in path]
        assert order == ["secrets", "assignments", "works"]


async def test_without_auto_nothing_is_read_and_nothing_comes_along() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await settings(scene, a="1")
        async with scene.placing():
            await scene.place(manifests=[WITH_SECRET])
            await until_given(scene, "Deployment/web")
        assert await said(scene) is None


async def test_what_changes_on_the_hub_is_a_new_revision_and_a_secret_alone_is_none() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await settings(scene, a="1")
        await password(scene, "sesame")
        async with scene.placing():
            await scene.place(manifests=[WITH_SECRET], dependencies="Auto")
            await until_given(scene, "Deployment/web", "ConfigMap/settings")
            await settings(scene, a="2")

            async def is_two() -> bool:
                (work,) = await scene.works()
                return [one.get("data") for one in work.spec.workload.manifests] == [None, {"a": "2"}]

            await until_found(is_two)
            (work,) = await scene.works()
            assert work.metadata.annotations[ANNOTATION_REVISION] == "2"
            await password(scene, "mellon")

            async def is_new() -> bool:
                return await copies(scene) == {"cluster-east": encoded("mellon")}

            await until_found(is_new)
            assert (await scene.placement()).status.revision == 2


async def test_what_is_missing_is_named_and_comes_when_it_is_there_and_goes_with_it() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        async with scene.placing():
            await scene.place(manifests=[WITH_SECRET], dependencies="Auto")
            await until_given(scene, "Deployment/web")
            await until_said(scene, "NotOnHub", "ConfigMap/shop/settings, Secret/shop/password")
            await settings(scene, a="1")
            await until_given(scene, "Deployment/web", "ConfigMap/settings")
            await password(scene, "sesame")
            await until_said(scene, "Brought")
            await until_found(lambda: has_copies(scene, 1))
            await scene.admin.delete(SECRETS, "password", namespace=NAMESPACE)
            await until_said(scene, "NotOnHub", "Secret/shop/password")
            await until_found(lambda: has_copies(scene, 0))
            (assignment,) = (await scene.assignments()).values()
            assert assignment.spec.secrets == ()


async def has_copies(scene: PlacingScene, count: int) -> bool:
    return len(await copies(scene)) == count


async def test_where_nobody_let_the_hub_read_only_what_the_spec_brings_comes_and_that_is_said() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await settings(scene, a="1")
        scene.api.forbidden.add((READER, "configmaps"))
        async with scene.placing():
            await scene.place(manifests=[web()], dependencies="Auto")
            await until_given(scene, "Deployment/web")
            await until_said(scene, "MayNotRead", "kind ConfigMap")
            scene.api.forbidden.clear()
            await until_given(scene, "Deployment/web", "ConfigMap/settings")


async def test_the_hubs_own_rights_read_no_tenants_secret() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await settings(scene, a="1")
        await password(scene, "sesame")
        scene.api.forbidden.add((READER, "secrets"))
        async with scene.placing():
            await scene.place(manifests=[WITH_SECRET], dependencies="Auto")
            await until_said(scene, "MayNotRead", "kind Secret")
            await until_given(scene, "Deployment/web", "ConfigMap/settings")
            assert await copies(scene) == {}


@pytest.mark.parametrize("plural", ["configmaps", "secrets"])
async def test_a_right_that_is_taken_away_deletes_nothing_even_when_another_hub_leads(plural: str) -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await settings(scene, a="1")
        await password(scene, "sesame")
        async with scene.placing():
            await scene.place(manifests=[WITH_SECRET], dependencies="Auto")
            await until_found(lambda: has_copies(scene, 1))
            await until_given(scene, "Deployment/web", "ConfigMap/settings")
        scene.api.forbidden.add((READER, plural))
        async with scene.placing():
            await until_said(scene, "MayNotRead")
            await asyncio.sleep(120)
            await until_given(scene, "Deployment/web", "ConfigMap/settings")
            assert await has_copies(scene, 1)
            scene.api.forbidden.clear()
            await until_said(scene, "Brought")
        assert (await scene.placement()).status.revision == 1


async def test_a_hub_that_begins_anew_writes_nothing_where_all_is_as_it_was() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await settings(scene, a="1")
        await password(scene, "sesame")
        async with scene.placing():
            await scene.place(manifests=[WITH_SECRET], dependencies="Auto")
            await until_said(scene, "Brought")
            await until_found(lambda: has_copies(scene, 1))
            await asyncio.sleep(10)
        before = list(scene.api.requests)
        async with scene.placing():
            await asyncio.sleep(300)
        assert scene.api.requests == before


async def test_a_placement_that_is_deleted_takes_its_copies_with_it_after_the_assignment() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await password(scene, "sesame")
        async with scene.placing():
            await scene.place(manifests=[WITH_SECRET], dependencies="Auto")
            await until_found(lambda: has_copies(scene, 1))
            await until_given(scene, "Deployment/web")
            held = {"metadata": {"finalizers": [WORK_FINALIZER]}}
            await scene.admin.merge_patch(ASSIGNMENTS, f"{NAMESPACE}.app", held, namespace="cluster-east")
            await scene.admin.delete(PLACEMENTS, "app", namespace=NAMESPACE)
            await asyncio.sleep(10)
            assert await has_copies(scene, 1), "the member still reads it"
            free: dict[str, object] = {"metadata": {"finalizers": []}}
            await scene.admin.merge_patch(ASSIGNMENTS, f"{NAMESPACE}.app", free, namespace="cluster-east")

            async def is_gone() -> bool:
                return await scene.admin.find(PLACEMENTS, "app", namespace=NAMESPACE) is None

            await until_found(is_gone)
            assert await copies(scene) == {}


async def test_a_secret_that_somebody_else_has_under_that_name_is_left_alone() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await password(scene, "sesame")
        theirs = {"metadata": {"name": COPY, "namespace": "cluster-east"}, "data": {"word": "bWluZQ=="}}
        await scene.admin.create(SECRETS, theirs)
        async with scene.placing():
            await scene.place(manifests=[WITH_SECRET], dependencies="Auto")
            await until_given(scene, "Deployment/web")
            (assignment,) = (await scene.assignments()).values()
        assert assignment.spec.secrets == ()
        assert (await scene.admin.get(SECRETS, COPY, namespace="cluster-east")).data == theirs["data"]


@pytest.mark.parametrize("writes", range(1, 9))
async def test_a_hub_that_ends_between_two_writes_is_continued_to_the_same_end(writes: int) -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await settings(scene, a="1")
        await password(scene, "sesame")
        await scene.place(manifests=[WITH_SECRET], dependencies="Auto")
        scene.api.writes_left[HUB_USER] = writes
        async with scene.placing():
            await asyncio.sleep(1)
        del scene.api.writes_left[HUB_USER]
        async with scene.placing():
            await until_given(scene, "Deployment/web", "ConfigMap/settings")
            await until_found(lambda: has_copies(scene, 1))
        (assignment,) = (await scene.assignments()).values()
        assert (assignment.spec.revision, assignment.spec.secrets) == (1, (COPY,))


async def test_a_copy_says_nothing_of_what_is_in_it() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await password(scene, "sesame")
        async with scene.placing():
            await scene.place(manifests=[WITH_SECRET], dependencies="Auto")
            await until_found(lambda: has_copies(scene, 1))
        meta = (await scene.admin.get(SECRETS, COPY, namespace="cluster-east")).metadata
        source = (await scene.admin.get(SECRETS, "password", namespace=NAMESPACE)).metadata
        assert meta.annotations == {
            ANNOTATION_TARGET: "shop/password",
            ANNOTATION_SOURCE: f"{source.uid}/{source.resource_version}",
        }


async def test_secrets_that_are_too_large_together_are_told_before_one_is_copied() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        names = [f"large{number}" for number in range(5)]
        for name in names:
            meta = {"name": name, "namespace": NAMESPACE}
            body = {"metadata": meta, "data": {"word": "A" * 1_000_000}}
            await scene.admin.apply(SECRETS, body, field_manager="test")
        async with scene.placing():
            root = web(imagePullSecrets=[{"name": name} for name in names])
            await scene.place(manifests=[root], dependencies="Auto")
            await until_said(scene, "TooMuch", "more than 4096 KiB")
            await until_given(scene, "Deployment/web")
        assert await copies(scene) == {}
        assert not any("/secrets" in path for user, _, path in scene.api.requests if user == HUB_USER)


async def test_of_a_namespace_that_names_more_than_the_hub_may_hold_the_rest_is_read_when_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mesh_placement.hub.placing.held.MOST_HELD", 5000)
    names = [f"large{number}" for number in range(20)]
    async with placing_scene() as scene:
        await scene.cluster("east")
        await settings(scene, a="1")
        for name in names:
            await scene.admin.apply(CONFIG_MAPS, config_map(name, a="x" * 1000), field_manager="test")
        sources = [{"configMapRef": {"name": name}} for name in names]
        spec = {"template": {"spec": {"containers": [{"envFrom": sources}]}}}
        async with scene.placing():
            await scene.place("app", manifests=[web()], dependencies="Auto")
            await until_given(scene, "Deployment/web", "ConfigMap/settings")
            before = scene.api.reads[READER, "configmaps"]
            await scene.place("greedy", manifests=[{**web(), "spec": spec}], dependencies="Auto")
            await asyncio.sleep(30)
            assert scene.api.reads[READER, "configmaps"] - before <= 5 + 4, "with those that are under way"
            assert await given(scene, "greedy") == []
            await settings(scene, a="2")
            await scene.admin.delete(PLACEMENTS, "greedy", namespace=NAMESPACE)

            async def is_two() -> bool:
                (work,) = await scene.works()
                return [one.get("data") for one in work.spec.workload.manifests] == [None, {"a": "2"}]

            await until_found(is_two, limit=180.0)


async def test_a_token_of_an_account_stays_on_the_hub() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await password(scene, "sesame", kind="kubernetes.io/service-account-token")
        async with scene.placing():
            await scene.place(manifests=[WITH_SECRET], dependencies="Auto")
            await until_said(scene, "NotOnHub", "Secret/shop/password")
            assert await copies(scene) == {}


async def test_a_token_that_takes_the_name_of_a_secret_while_that_is_read_stays_on_the_hub() -> None:
    async with placing_scene() as scene:
        await password(scene, "sesame", kind="kubernetes.io/service-account-token")
        async with asyncio.TaskGroup() as group:
            assert await Sources(scene.admin, group=group).secret("password", namespace=NAMESPACE) is None


async def test_what_changes_and_may_not_be_read_any_more_stays_as_it_was_given() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        await settings(scene, a="1")
        async with scene.placing():
            await scene.place(manifests=[web()], dependencies="Auto")
            await until_said(scene, "Brought")
            await until_given(scene, "Deployment/web", "ConfigMap/settings")
            scene.api.forbidden.add((READER, "configmaps"))
            await settings(scene, a="2")
            await until_said(scene, "MayNotRead", "kind ConfigMap")
            assert await data(scene) == {"a": "1"}
            asked = scene.api.reads.get((READER, "configmaps"), 0)
            await asyncio.sleep(600)
            assert scene.api.reads[READER, "configmaps"] - asked <= 12, "once a minute, and by the watch"
            scene.api.forbidden.clear()

            async def is_two() -> bool:
                return await data(scene) == {"a": "2"}

            await until_found(is_two, limit=90.0)
            await until_said(scene, "Brought")


async def data(scene: PlacingScene) -> object:
    """Of the ConfigMap that the Work brings."""
    (work,) = await scene.works()
    return work.spec.workload.manifests[1]["data"]


class Shelf:
    """Sources with one ConfigMap."""

    def __init__(self, content: str) -> None:
        self.content = content
        self.changed: Callable[[Name], None] = print

    def follow(self, changed: Callable[[Name], None]) -> None:
        self.changed = changed

    def find(self, _kind: str, _name: str, *, namespace: str) -> Manifest:
        return {**config_map(a=self.content), "apiVersion": "v1", "kind": "ConfigMap"}


async def test_what_changes_while_a_placement_is_written_is_taken_along_all_the_same() -> None:
    shelf = Shelf("1")
    bringer = Bringer(cast(Sources, shelf), is_dedicated=lambda: False, changed=lambda _key: None)
    meta = {"name": "app", "namespace": NAMESPACE, "uid": "u", "generation": 1}
    spec = {"clusterSets": ["prod"], "manifests": [web()], "dependencies": "Auto"}
    placement = msgspec.convert({"metadata": meta, "spec": spec}, Placement)
    in_hands = bringer.filled(placement)
    shelf.content = "2"
    shelf.changed(("ConfigMap", NAMESPACE, "settings"))
    # Whoever writes it meanwhile asks with what it has in its hands: with all that came along before.
    assert [one["data"] for one in bringer.brought(in_hands).manifests] == [{"a": "2"}]
    assert [one["data"] for one in bringer.filled(placement).spec.manifests[1:]] == [{"a": "2"}]
