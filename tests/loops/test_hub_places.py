"""The hub decides, writes what it decided in a safe order, and tells what members say of it."""

import asyncio
from typing import Any

import msgspec
import pytest

from mesh_bench.placement_scene import scene as placements_of_a_bench
from mesh_fakes.placing_scene import HUB_USER, NAMESPACE, PlacingScene, config_map, placing_scene
from mesh_fakes.tiny_scheduler import no_demand, tiny_plan
from mesh_fakes.waiting import until, until_found
from mesh_placement.hub.placing.cycle import Scheduling
from mesh_placement.names import (
    ANNOTATION_REVISION,
    LABEL_ASSIGNMENT,
    LABEL_DECISION_REVISION,
    LABEL_PLACEMENT,
    PLACEMENT_FINALIZER,
    WORK_FINALIZER,
)
from mesh_placement.resources import ASSIGNMENTS, PLACEMENT_DECISIONS, PLACEMENT_REPORTS, PLACEMENTS, WORKS
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.plan import Placed, Plan
from mesh_placement.schedule.snapshot import Snapshot

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

IN_EU = {"properties": [{"name": "region", "operator": "In", "values": ["eu"]}]}
IN_US = {"properties": [{"name": "region", "operator": "In", "values": ["us"]}]}


async def two_clusters(scene: PlacingScene) -> None:
    await scene.cluster("east", region="eu")
    await scene.cluster("west", region="us")


async def test_a_placement_becomes_an_assignment_and_works_of_one_revision() -> None:
    async with placing_scene() as scene:
        await two_clusters(scene)
        async with scene.placing():
            await scene.place(require=IN_EU)
            found = await scene.decided(revision=1)
            await until_found(lambda: has_works(scene, "cluster-east"))
        assert PLACEMENT_FINALIZER in found.metadata.finalizers
        assert [one.cluster for one in found.status.clusters] == ["east"]
        given = await scene.assignments()
        (work,) = await scene.works()
        assert list(given) == ["cluster-east"]
        assert given["cluster-east"].spec.works == (work.metadata.name,)
        assert given["cluster-east"].spec.revision == 1
        assert work.metadata.annotations[ANNOTATION_REVISION] == "1"
        assert work.metadata.labels[LABEL_ASSIGNMENT] == given["cluster-east"].metadata.name
        assert work.spec.workload.manifests == (config_map(a="1"),)
        (told,) = (await scene.admin.list(PLACEMENT_DECISIONS)).items
        assert told.metadata.labels[LABEL_DECISION_REVISION] == "1"
        assert [one.cluster_profile_ref.name for one in told.decisions] == ["east"]
        (report,) = (await scene.admin.list(PLACEMENT_REPORTS)).items
        assert [(one.cluster, one.verdict) for one in report.clusters] == [
            ("east", "Selected"),
            ("west", "Rejected"),
        ]
        assert report.revision == 1


async def has_works(scene: PlacingScene, *namespaces: str) -> bool:
    return [one.metadata.namespace for one in await scene.works()] == list(namespaces)


async def test_the_status_is_the_decision_and_comes_before_what_follows_from_it() -> None:
    async with placing_scene() as scene:
        await two_clusters(scene)
        await scene.place(require=IN_EU)
        async with scene.placing():
            await until_found(lambda: has_works(scene, "cluster-east"))
        wrote = [path.split("/")[-3] for user, _, path in scene.api.requests if user == HUB_USER]
        order = list(dict.fromkeys(wrote))
        assert order == ["placements", "placementreports", "placementdecisions", "assignments", "works"]


@pytest.mark.parametrize("writes", range(1, 8))
async def test_a_hub_that_ends_between_two_writes_is_continued_to_the_same_end(writes: int) -> None:
    async with placing_scene() as scene:
        await two_clusters(scene)
        await scene.place(replicas={"policy": "Divide", "count": 3})
        scene.api.writes_left[HUB_USER] = writes
        async with scene.placing():
            await asyncio.sleep(1)
        del scene.api.writes_left[HUB_USER]
        async with scene.placing():
            await until_found(lambda: has_works(scene, "cluster-east", "cluster-west"))
        found = await scene.placement()
        assert found.status.revision == 1
        assert len(found.status.history) == 2
        assert {one.spec.revision for one in (await scene.assignments()).values()} == {1}


async def test_when_what_it_asks_for_changes_it_moves_and_the_history_says_why() -> None:
    async with placing_scene() as scene:
        await two_clusters(scene)
        async with scene.placing():
            await scene.place(require=IN_EU)
            await until_found(lambda: has_works(scene, "cluster-east"))
            await scene.place(require=IN_US)
            await until_found(lambda: has_works(scene, "cluster-west"))
            found = await scene.decided(revision=2)
        assert list(await scene.assignments()) == ["cluster-west"]
        last = found.status.history[-1]
        assert (last.source, last.target, last.cause) == ("east", "west", "what fits has changed")


async def test_what_is_being_deleted_stays_where_it_is_and_is_decided_no_more() -> None:
    """It would come to another cluster, or have others make room for it, while it goes."""
    seen: list[Snapshot] = []

    def plan(snapshot: Snapshot) -> Plan:
        seen.append(snapshot)
        return tiny_plan(snapshot)

    async with placing_scene() as scene:
        await two_clusters(scene)
        async with scene.placing(Scheduling(plan, no_demand)):
            await scene.place(require=IN_EU)
            await until_found(lambda: has_works(scene, "cluster-east"))
            (work,) = await scene.works()
            place = work.metadata.namespace
            held = {"metadata": {"finalizers": [WORK_FINALIZER]}}
            await scene.admin.merge_patch(WORKS, work.metadata.name, held, namespace=place)
            assert not seen[-1].stays
            await scene.admin.delete(PLACEMENTS, "app", namespace=NAMESPACE)
            await until(lambda: seen[-1].stays == (f"{NAMESPACE}/app",))
            assert [one.name for one in seen[-1].placements] == [f"{NAMESPACE}/app"], "its room is taken"


async def test_the_assignment_stays_until_its_works_are_gone_since_it_says_who_takes_them_back() -> None:
    async with placing_scene() as scene:
        await two_clusters(scene)
        async with scene.placing():
            await scene.place(require=IN_EU)
            await until_found(lambda: has_works(scene, "cluster-east"))
            (work,) = await scene.works()
            place = work.metadata.namespace
            held = {"metadata": {"finalizers": [WORK_FINALIZER]}}
            await scene.admin.merge_patch(WORKS, work.metadata.name, held, namespace=place)
            await scene.admin.delete(PLACEMENTS, "app", namespace=NAMESPACE)

            async def says_so() -> bool:
                conditions = (await scene.placement()).status.conditions
                return any(one.reason == "Removing" and "cluster-east" in one.message for one in conditions)

            await until_found(says_so)
            assert list(await scene.assignments()) == ["cluster-east"]
            free: dict[str, object] = {"metadata": {"finalizers": []}}
            await scene.admin.merge_patch(WORKS, work.metadata.name, free, namespace=place)

            async def is_gone() -> bool:
                return await scene.admin.find(PLACEMENTS, "app", namespace=NAMESPACE) is None

            await until_found(is_gone)
        left = [path for path in scene.api.paths() if "assignments" in path or "works" in path]
        left += [path for path in scene.api.paths() if "placement" in path.rpartition("v1alpha1/")[2]]
        assert left == []


async def test_at_rest_nothing_is_written_and_what_somebody_took_away_comes_back() -> None:
    async with placing_scene() as scene:
        await two_clusters(scene)
        async with scene.placing():
            await scene.place()
            await until_found(lambda: has_works(scene, "cluster-east", "cluster-west"))
            await asyncio.sleep(10)
            before = len(scene.api.requests)
            await asyncio.sleep(300)
            assert len(scene.api.requests) == before
            (name, *_) = [one.metadata.name for one in await scene.works()]
            await scene.admin.delete(WORKS, name, namespace="cluster-west")
            await until_found(lambda: has_works(scene, "cluster-east", "cluster-west"))
        assert (await scene.placement()).status.revision == 1


async def test_what_members_report_is_in_the_status() -> None:
    async with placing_scene() as scene:
        await two_clusters(scene)
        async with scene.placing():
            await scene.place(require=IN_EU)
            await until_found(lambda: has_works(scene, "cluster-east"))
            await scene.report("east", ready=2)

            async def is_told() -> bool:
                status = (await scene.placement()).status
                applied = next(one for one in status.conditions if one.type == "Applied")
                return applied.status == "True" and status.clusters[0].ready == 2

            await until_found(is_told)


# A spec is JSON, hence Any.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a template on a hub that runs it": (
        {"resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}]},
        "TemplateWouldRunOnHub",
    ),
    "a Secret": (
        {"manifests": [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}]},
        "SecretInPlacement",
    ),
    "a manifest without a name": (
        {"manifests": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}]},
        "InvalidManifest",
    ),
    "an object of a megabyte": (
        {"manifests": [config_map(a="x" * 1_000_000)]},
        "ManifestTooLarge",
    ),
}


@pytest.mark.parametrize(("spec", "reason"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_placed_anywhere_is_said_and_goes_nowhere(
    spec: dict[str, Any], reason: str
) -> None:
    async with placing_scene() as scene:
        await two_clusters(scene)
        async with scene.placing():
            await scene.place(**spec)

            async def is_said() -> bool:
                conditions = (await scene.placement()).status.conditions
                return any((one.type, one.reason) == ("Scheduled", reason) for one in conditions)

            await until_found(is_said)
            await asyncio.sleep(60)
        assert await scene.assignments() == {}
        assert (await scene.placement()).status.revision == 0


async def test_nothing_is_given_to_a_cluster_where_somebody_else_has_the_name() -> None:
    async with placing_scene() as scene:
        await two_clusters(scene)
        meta = {"name": f"{NAMESPACE}.app", "namespace": "cluster-east"}
        await scene.admin.create(ASSIGNMENTS, {"metadata": meta, "spec": {"works": ["theirs"]}})
        async with scene.placing():
            await scene.place()
            await until_found(lambda: has_works(scene, "cluster-west"))

            async def is_said() -> bool:
                conditions = (await scene.placement()).status.conditions
                return any(one.reason == "NameTaken" and "east" in one.message for one in conditions)

            await until_found(is_said)
        theirs = await scene.admin.get(ASSIGNMENTS, f"{NAMESPACE}.app", namespace="cluster-east")
        assert theirs.spec.works == ("theirs",)


def everywhere(snapshot: Snapshot) -> Plan:
    """In all clusters, whatever they are."""
    decisions = tiny_plan(snapshot).decisions
    placed = tuple(Placed(one.name) for one in snapshot.clusters)
    return Plan(tuple(msgspec.structs.replace(one, placed=placed, changes=True) for one in decisions))


async def test_a_cluster_that_leaves_is_given_nothing_again() -> None:
    async with placing_scene() as scene:
        await two_clusters(scene)
        async with scene.placing(Scheduling(everywhere, no_demand)):
            await scene.place()
            await until_found(lambda: has_works(scene, "cluster-east", "cluster-west"))
            await scene.leaves("west")
            await asyncio.sleep(5)
            (_, work) = await scene.works()
            await scene.admin.delete(WORKS, work.metadata.name, namespace="cluster-west")
            await asyncio.sleep(60)
            assert await has_works(scene, "cluster-east")


async def test_a_scheduler_that_fails_leaves_all_as_it_is_and_is_asked_again() -> None:
    fails = [True]

    def plan(snapshot: Snapshot) -> Plan:
        if fails and snapshot.placements:
            raise ZeroDivisionError
        return tiny_plan(snapshot)

    async with placing_scene() as scene:
        await two_clusters(scene)
        async with scene.placing(Scheduling(plan, no_demand)):
            await scene.place()
            await asyncio.sleep(60)
            assert await scene.assignments() == {}
            fails.clear()
            # It was backing off for half a minute by now.
            await until_found(lambda: has_works(scene, "cluster-east", "cluster-west"), limit=90.0)


async def test_who_leads_no_more_keeps_nothing_of_what_it_worked_out() -> None:
    snapshot = placements_of_a_bench(5, placements=1, number=0)
    first, again = schedule(snapshot, BUILT_IN), schedule(snapshot, BUILT_IN)
    assert same_verdicts(first, again) > 0, "it is kept"
    async with placing_scene() as scene, scene.placing():
        await asyncio.sleep(1)
    anew = schedule(snapshot, BUILT_IN)
    assert anew == first
    assert same_verdicts(again, anew) == 0


def same_verdicts(one: Plan, other: Plan) -> int:
    """How many of one are the very same objects in the other."""
    pairs = zip(one.decisions, other.decisions, strict=True)
    return sum(a is b for one, other in pairs for a, b in zip(one.verdicts, other.verdicts, strict=True))


async def test_a_placement_from_an_old_copy_goes_on_from_the_revision_that_members_have() -> None:
    async with placing_scene() as scene:
        await two_clusters(scene)
        meta = {
            "name": f"{NAMESPACE}.app",
            "namespace": "cluster-east",
            "labels": {LABEL_PLACEMENT: f"{NAMESPACE}.app"},
        }
        spec = {"revision": 7, "placementRef": {"name": "app", "namespace": NAMESPACE}}
        await scene.admin.create(ASSIGNMENTS, {"metadata": meta, "spec": spec})
        await scene.place()
        async with scene.placing():
            found = await scene.decided(revision=1)
        assert found.status.revision == 8


async def test_what_somebody_labels_as_ours_elsewhere_is_nobodys() -> None:
    async with placing_scene() as scene:
        await two_clusters(scene)
        label = {LABEL_PLACEMENT: f"{NAMESPACE}.app"}
        theirs = {"name": f"{NAMESPACE}.app", "namespace": "mallory", "labels": label, "finalizers": ["x/y"]}
        await scene.admin.create(ASSIGNMENTS, {"metadata": theirs, "spec": {"revision": 2**62}})
        await scene.admin.create(WORKS, {"metadata": theirs, "spec": {}})
        await scene.admin.create(PLACEMENT_REPORTS, {"metadata": {**theirs, "name": "app-5"}})
        async with scene.placing():
            await scene.place()
            await until_found(lambda: has_works(scene, "cluster-east", "cluster-west", "mallory"))
            assert (await scene.placement()).status.revision == 1
            await scene.admin.delete(PLACEMENTS, "app", namespace=NAMESPACE)

            async def is_gone() -> bool:
                return await scene.admin.find(PLACEMENTS, "app", namespace=NAMESPACE) is None

            await until_found(is_gone)
        left = [
            path
            for path in scene.api.paths()
            if path.endswith(("/mallory/app-5", f"/mallory/{NAMESPACE}.app"))
        ]
        assert len(left) == 3


@pytest.mark.parametrize("writes", range(12))
async def test_a_move_that_is_cut_off_between_two_writes_ends_as_it_would_have(writes: int) -> None:
    async with placing_scene() as scene:
        await two_clusters(scene)
        await scene.place(require=IN_EU)
        async with scene.placing():
            await until_found(lambda: has_works(scene, "cluster-east"))
        await scene.place(require=IN_US)
        scene.api.writes_left[HUB_USER] = writes
        async with scene.placing():
            await asyncio.sleep(1)
        del scene.api.writes_left[HUB_USER]
        async with scene.placing():
            await until_found(lambda: has_works(scene, "cluster-west"))
            await asyncio.sleep(5)
        found = (await scene.placement()).status
        assert (found.revision, len(found.history)) == (2, 2)
        assert list(await scene.assignments()) == ["cluster-west"]
        (told,) = (await scene.admin.list(PLACEMENT_DECISIONS)).items
        assert told.metadata.labels[LABEL_DECISION_REVISION] == "2"


@pytest.mark.parametrize("writes", range(9))
async def test_a_removal_that_is_cut_off_between_two_writes_leaves_nothing(writes: int) -> None:
    async with placing_scene() as scene:
        await two_clusters(scene)
        await scene.place()
        async with scene.placing():
            await until_found(lambda: has_works(scene, "cluster-east", "cluster-west"))
        await scene.admin.delete(PLACEMENTS, "app", namespace=NAMESPACE)
        scene.api.writes_left[HUB_USER] = writes
        async with scene.placing():
            await asyncio.sleep(1)
        del scene.api.writes_left[HUB_USER]
        async with scene.placing():
            await asyncio.sleep(30)
        kinds = ("assignments", "works", "placements", "placementreports", "placementdecisions")
        assert [path for path in scene.api.paths() if path.split("/")[-3] in kinds] == []
