"""A hub dies, and another cluster becomes the hub out of the copies that the witnesses have."""

import asyncio
import base64
from typing import Any

import pytest

from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.floating_scene import SEAL, copied, decision_digest, stores_of, taken_over
from mesh_fakes.placing_scene import NAMESPACE, PlacingScene, config_map, placing_scene
from mesh_fakes.waiting import until_found
from mesh_placement.decide.hub_copy import Index, key_of
from mesh_placement.hub.floating.copier import Copier
from mesh_placement.hub.floating.newest import CopyUnknown, newest_copy
from mesh_placement.hub.floating.seal import Seal
from mesh_placement.hub.floating.store import CopyStore
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import HUB_COPY, WITNESS_NAMESPACE
from mesh_placement.resources import CLUSTER_REGISTRATIONS, CLUSTER_SETS, PLACEMENTS, WORKS
from mesh_runtime.kube import SECRETS, KubeClient, Unreachable

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

MEMBERS = ("east", "north", "south", "west")
APPS = tuple(f"app-{number}" for number in range(8))


def one_of_equals(number: int) -> dict[str, Any]:  # Any: JSON
    """Ties are all that decides where it goes."""
    return {"manifests": [config_map(f"of-{number}", a="1")], "clusters": {"count": 1 + number % 3}}


async def placed(scene: PlacingScene) -> None:
    """A hub that has placed everything, and has had members' words."""
    for name in MEMBERS:
        await scene.cluster(name)
    async with scene.placing(installed_scheduling()):
        for number, app in enumerate(APPS):
            await scene.place(app, **one_of_equals(number))
            await asyncio.sleep(3)
        for app in APPS:
            await scene.decided(app, revision=1)
        await asyncio.sleep(60)
        for app in APPS:
            for space in await scene.assignments(app):
                await scene.report(space.removeprefix("cluster-"), name=app)
        await asyncio.sleep(60)


def witnesses() -> dict[str, FakeApiServer]:
    return {name: FakeApiServer() for name in ("w0", "w1", "w2")}


def at(found: dict[str, FakeApiServer]) -> dict[str, KubeClient]:
    return {name: one.client() for name, one in found.items()}


def successor(scene: PlacingScene) -> PlacingScene:
    """Another cluster that has never been a hub; its UIDs are its own."""
    api = FakeApiServer(clock=scene.clock)
    return PlacingScene(api, scene.clock, api.client())


async def moved_on(api: PlacingScene, *, by: int) -> None:
    """So that no UID there is by chance one of another cluster."""
    for number in range(by):
        body = {"metadata": {"name": f"filler-{number}", "namespace": "x"}, "data": {}}
        await api.admin.create(SECRETS, body)


async def where(scene: PlacingScene) -> dict[str, tuple[list[str], int]]:
    """Clusters and revision of each Placement."""
    found = {}
    for app in APPS:
        status = (await scene.placement(app)).status
        found[app] = [one.cluster for one in status.clusters], status.revision
    return found


async def test_the_next_leader_comes_to_the_same_decisions_and_changes_nothing() -> None:
    async with placing_scene() as scene:
        await placed(scene)
        scheduling, now = installed_scheduling(), scene.clock()
        stores = stores_of(at(witnesses()))
        assert await copied(scene.admin, stores, term=1) == 3
        before, at_first = (
            await where(scene),
            await decision_digest(scene.admin, scheduling=scheduling, now=now),
        )
        next_one = successor(scene)
        await moved_on(next_one, by=50)
        await taken_over(next_one.admin, stores)
        assert await decision_digest(next_one.admin, scheduling=scheduling, now=now) == at_first
        uids = {app: (await next_one.placement(app)).metadata.uid for app in APPS}
        assert not set(uids.values()) & {(await scene.placement(app)).metadata.uid for app in APPS}
        works = {one.key: one.metadata.uid for app in APPS for one in await next_one.works(app)}
        async with next_one.placing(scheduling):
            await asyncio.sleep(900)
        assert await where(next_one) == before
        assert {one.key: one.metadata.uid for app in APPS for one in await next_one.works(app)} == works


@pytest.mark.parametrize("writes", [0, 3, 11, 37])
async def test_taking_over_may_be_cut_off_anywhere_and_be_begun_again(writes: int) -> None:
    async with placing_scene() as scene:
        await placed(scene)
        scheduling, now = installed_scheduling(), scene.clock()
        stores = stores_of(at(witnesses()))
        await copied(scene.admin, stores, term=1)
        next_one = successor(scene)
        await moved_on(next_one, by=50)
        next_one.api.writes_left["candidate"] = writes
        with pytest.raises(Unreachable):
            await taken_over(next_one.api.client("candidate"), stores)
        await taken_over(next_one.admin, stores)
        assert await decision_digest(next_one.admin, scheduling=scheduling, now=now) == (
            await decision_digest(scene.admin, scheduling=scheduling, now=now)
        )
        assert await where(next_one) == await where(scene)


async def test_ties_of_a_copy_without_its_origin_would_fall_otherwise() -> None:
    """Else the test above would show nothing of ties."""
    async with placing_scene() as scene:
        await placed(scene)
        stores = stores_of(at(witnesses()))
        await copied(scene.admin, stores, term=1)
        next_one = successor(scene)
        await moved_on(next_one, by=50)
        await taken_over(next_one.admin, stores)
        for app in APPS:
            none: dict[str, object] = {"status": {"origin": None}}
            await next_one.admin.merge_patch(PLACEMENTS, app, none, namespace=NAMESPACE, subresource="status")
        scheduling, now = installed_scheduling(), scene.clock()
        assert await decision_digest(next_one.admin, scheduling=scheduling, now=now) != (
            await decision_digest(scene.admin, scheduling=scheduling, now=now)
        )


async def test_what_was_deleted_meanwhile_is_deleted_where_the_first_leader_leads_again() -> None:
    async with placing_scene() as scene:
        await placed(scene)
        stores = stores_of(at(witnesses()))
        await copied(scene.admin, stores, term=1)
        second = successor(scene)
        index = await taken_over(second.admin, stores)
        async with second.placing(installed_scheduling()):
            await second.admin.delete(PLACEMENTS, "app-0", namespace=NAMESPACE)

            async def is_gone() -> bool:
                await given_back(second, "app-0")
                return await second.admin.find(PLACEMENTS, "app-0", namespace=NAMESPACE) is None

            await until_found(is_gone)
        await second.admin.merge_patch(
            CLUSTER_REGISTRATIONS, "west", {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}
        )
        await second_term(second.admin, stores, index=index)
        # Somebody has written there although it does not lead: it is not known, so it stays.
        await scene.admin.create(CLUSTER_SETS, {"metadata": {"name": "theirs"}, "spec": {}})
        await taken_over(scene.admin, stores)
        assert await scene.admin.find(PLACEMENTS, "app-0", namespace=NAMESPACE) is None
        assert await scene.works("app-0") == []
        assert await scene.assignments("app-0") == {}
        west = await scene.admin.get(CLUSTER_REGISTRATIONS, "west")
        assert [one.key for one in west.spec.taints] == ["a"]
        assert await scene.admin.find(CLUSTER_SETS, "theirs") is not None
        assert set(await where_of_rest(scene)) == set(APPS[1:])


async def given_back(scene: PlacingScene, app: str) -> None:
    """Members let go of what is being deleted."""
    for one in await scene.works(app):
        if one.metadata.deletion_timestamp is not None:
            free: dict[str, object] = {"metadata": {"finalizers": None}}
            await scene.admin.merge_patch(WORKS, one.metadata.name, free, namespace=one.metadata.namespace)


async def where_of_rest(scene: PlacingScene) -> list[str]:
    return [one.metadata.name for one in (await scene.admin.list(PLACEMENTS)).items]


async def second_term(kube: KubeClient, stores: list[CopyStore], *, index: Index) -> None:
    """What the second leader copies, who has taken over that index."""
    found = await newest_copy(stores, held=["w0"])
    assert found is not None
    known = {key_of(one) for one in found[1]}
    await Copier(kube, stores, SEAL, 2, before=index, known=known).flush()


async def test_a_witness_reads_nothing_and_what_it_writes_is_believed_by_nobody() -> None:
    async with placing_scene() as scene:
        await placed(scene)
        found = witnesses()
        stores = stores_of(at(found))
        await copied(scene.admin, stores, term=1)
        whole = "".join(str(one) for one in found["w0"]._objects.values())
        assert NAMESPACE not in whole.replace(WITNESS_NAMESPACE, "")
        assert base64.b64encode(b"app-1").decode() not in whole
        forged = Seal(bytes(64)).sealed(b'{"term":99,"number":1}', what=b"index")
        body = {"data": {"sealed": base64.b64encode(forged).decode()}}
        await found["w0"].client().merge_patch(SECRETS, HUB_COPY, body, namespace=WITNESS_NAMESPACE)
        index, _ = await newest_copy(stores, held=["w0", "w1"]) or (None, None)
        assert index is not None
        assert index.age == (1, 1)


async def test_without_the_answer_of_a_witness_of_the_majority_nobody_goes_on() -> None:
    async with placing_scene() as scene:
        await placed(scene)
        found = witnesses()
        stores = stores_of(at(found))
        found["w2"].stop()
        assert await copied(scene.admin, stores, term=1) == 2
        found["w1"].stop()
        with pytest.raises(CopyUnknown):
            await newest_copy(stores, held=["w0", "w1"])
        found["w1"].start()
        found["w2"].start()
        found["w0"].stop()
        assert await newest_copy(stores, held=["w1", "w2"]) is not None


class SlowStore(CopyStore):
    """Of a witness that answers just before a request's limit."""

    async def put(self, sealed: bytes) -> None:
        await asyncio.sleep(9)
        await super().put(sealed)

    async def piece(self, name: str) -> bytes:
        await asyncio.sleep(9)
        return await super().piece(name)


async def test_a_witness_that_takes_its_time_with_each_piece_holds_up_neither_copies_nor_who_takes_over() -> (
    None
):
    async with placing_scene() as scene:
        await placed(scene)
        clients, loop = at(witnesses()), asyncio.get_running_loop()
        slow = SlowStore("w0", clients.pop("w0"), SEAL)
        stores = [slow, *stores_of(clients)]
        began = loop.time()
        assert await copied(scene.admin, stores, term=1) == 2
        assert loop.time() - began < 15
        # It has all pieces in the end, and is still as slow.
        await copied(scene.admin, [CopyStore("w0", slow.kube, SEAL)], term=1)
        began = loop.time()
        index, objects = await newest_copy(stores, held=["w0", "w1"]) or (None, [])
        assert index is not None
        assert objects
        assert loop.time() - began < 10
        alone = await newest_copy([slow], held=["w0"])
        assert alone is not None
        assert alone[1] == objects
