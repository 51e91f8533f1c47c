"""A ResourceInterpreter on the hub: its pods are counted, its workers divided, and members are told."""

from typing import Any

import msgspec
import pytest

from mesh_fakes.placing_scene import NAMESPACE, PlacingScene, config_map, placing_scene
from mesh_fakes.waiting import until_found
from mesh_placement.decide.feedback import Health, Replicas
from mesh_placement.decide.work_plan import wanted_of
from mesh_placement.deliver.reading import applied
from mesh_placement.deliver.seen import Seen, SeenMeta
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.objects import Assignment, HealthRule, Interpretation, Work
from mesh_placement.resources import CLUSTER_REGISTRATIONS, RESOURCE_INTERPRETERS
from mesh_runtime.kube import CONFIG_MAPS, Resource

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

# Any: JSON.
Json = dict[str, Any]
TARGET = {"apiVersion": "example.com/v1", "kind": "Training"}
HEALTH = {"path": ".status.state", "healthy": ["Running"]}
LEADER = {"name": "leader", "template": ".spec.leader.template"}
WORKERS = {"name": "workers", "template": ".spec.worker.template", "replicas": ".spec.worker.count"}
TRAININGS = Resource("example.com", "v1", "trainings", "Training", Seen)


def pods(cpu: str) -> Json:
    return {"spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]}}


def training(workers: int) -> Json:
    spec = {"leader": {"template": pods("1")}, "worker": {"count": workers, "template": pods("4")}}
    return {**TARGET, "metadata": {"name": "a", "namespace": NAMESPACE}, "spec": spec}


async def interpreted(scene: PlacingScene, **spec: Any) -> None:  # Any: JSON
    whole = {"target": TARGET, "health": HEALTH, "components": [LEADER, WORKERS], **spec}
    await scene.admin.apply(
        RESOURCE_INTERPRETERS, {"metadata": {"name": "training"}, "spec": whole}, field_manager="test"
    )


async def placed(scene: PlacingScene) -> None:
    """Two clusters, of which each has room for three workers and a leader."""
    for name in ("east", "west"):
        await scene.cluster(name)
        serves = {"status": {"agent": {"apis": ["v1", "example.com/v1"]}}}
        await scene.admin.merge_patch(CLUSTER_REGISTRATIONS, name, serves)
    await scene.place(manifests=[training(5)], replicas={"policy": "Divide"}, clusters={"count": 2})


async def shares(scene: PlacingScene) -> list[int | None]:
    return sorted(
        (one.spec.replicas for one in (await scene.assignments()).values()), key=lambda one: one or 0
    )


def in_member(given: Assignment, work: Work) -> Json:
    """The custom resource as the member applies it."""
    return next(
        one.manifest for one in wanted_of(work, assignment=given) if one.manifest["kind"] == "Training"
    )


async def test_workers_of_a_custom_resource_are_divided_and_written_where_its_rule_says() -> None:
    async with placing_scene() as scene:
        await interpreted(scene)
        await placed(scene)
        async with scene.placing(installed_scheduling()):

            async def is_divided() -> bool:
                return await shares(scene) == [2, 3] and len(await scene.works()) == 2

            await until_found(is_divided)
        given = await scene.assignments()
        assert {one.spec.interpretations for one in given.values()} == {
            (
                Interpretation(
                    **{"api_version": "example.com/v1", "kind": "Training"},
                    health=HealthRule(path=".status.state", healthy=("Running",)),
                    replicas=".spec.worker.count",
                ),
            )
        }
        for work in await scene.works():
            mine = given[work.metadata.namespace]
            assert in_member(mine, work) == training(mine.spec.replicas or 0)


async def test_a_rule_that_comes_changes_or_goes_is_told_to_members_of_what_is_placed_already() -> None:
    async with placing_scene() as scene:
        await placed(scene)

        async def told() -> set[tuple[str | None, ...]]:
            given = (await scene.assignments()).values()
            return {tuple(rule.replicas for rule in one.spec.interpretations) for one in given}

        async with scene.placing(installed_scheduling()):
            await until_found(lambda: says(told, set_of=((),)))
            await interpreted(scene)
            await until_found(lambda: says(told, set_of=((".spec.worker.count",),)))
            await until_found(lambda: says(lambda: shares(scene), set_of=(2, 3)))
            await interpreted(scene, components=[LEADER])
            await until_found(lambda: says(told, set_of=(("",),)))
            await scene.admin.delete(RESOURCE_INTERPRETERS, "training")
            await until_found(lambda: says(told, set_of=((),)))


async def says(asked: Any, *, set_of: tuple[object, ...]) -> bool:  # Any: of two types
    return set(await asked()) == set(set_of)


@pytest.mark.parametrize(
    ("state", "health", "ready"), [("Running", Health.HEALTHY, 3), ("Starting", Health.PROGRESSING, 0)]
)
async def test_a_member_judges_what_it_has_by_the_rule_that_it_was_told(
    state: str, health: Health, ready: int
) -> None:
    async with placing_scene() as scene:
        await interpreted(scene)
        await placed(scene)
        async with scene.placing(installed_scheduling()):

            async def is_given() -> bool:
                return len(await scene.works()) == 2

            await until_found(is_given)
        (given,) = (one for one in (await scene.assignments()).values() if one.spec.replicas == 3)
        (work,) = (one for one in await scene.works() if one.metadata.namespace == given.metadata.namespace)
        wanted = next(one for one in wanted_of(work, assignment=given) if one.manifest["kind"] == "Training")
        seen = decoded(wanted.manifest, status={"state": state})
        found = applied(wanted, resource=TRAININGS, seen=seen, drift="", assignment=given)
        assert (found.health, found.replicas) == (health, Replicas(3, ready))


def decoded(manifest: Json, *, status: Json) -> Seen:
    raw = msgspec.json.encode
    return Seen(
        metadata=SeenMeta(name="a", namespace=NAMESPACE, generation=1),
        spec=msgspec.Raw(raw(manifest["spec"])),
        status=msgspec.Raw(raw(status)),
    )


async def test_what_a_rule_says_that_it_names_comes_along_from_the_moment_there_is_the_rule() -> None:
    async with placing_scene() as scene:
        await scene.cluster("east")
        serves = {"status": {"agent": {"apis": ["v1", "example.com/v1"]}}}
        await scene.admin.merge_patch(CLUSTER_REGISTRATIONS, "east", serves)
        await scene.admin.apply(CONFIG_MAPS, config_map(rate="3"), field_manager="test")
        named = training(1)
        named["spec"]["settings"] = "settings"
        await scene.place(manifests=[named], dependencies="Auto")

        async def kinds() -> set[str]:
            (work,) = await scene.works()
            return {one["kind"] for one in work.spec.workload.manifests}

        async with scene.placing(installed_scheduling()):
            await until_found(lambda: has_works(scene))
            assert await kinds() == {"Training"}
            await interpreted(scene, references=[{"kind": "ConfigMap", "path": ".spec.settings"}])
            await until_found(lambda: says(kinds, set_of=("Training", "ConfigMap")))
            await scene.admin.delete(RESOURCE_INTERPRETERS, "training")
            await until_found(lambda: says(kinds, set_of=("Training",)))


async def has_works(scene: PlacingScene) -> bool:
    return bool(await scene.works())
