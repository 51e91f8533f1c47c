"""Works become objects of a member: in order, once, with nobody's object harmed."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mesh_fakes.bed import Bed
from mesh_fakes.delivery import Delivery, between, config_map, deployment, namespace
from mesh_fakes.mortal_client import Life
from mesh_fakes.waiting import until_found
from mesh_placement.resources import APPLIED_WORKS, ASSIGNMENTS, WORKS

pytestmark = pytest.mark.asyncio

SHOP = "/api/v1/namespaces/shop"
CONFIG = f"{SHOP}/configmaps/settings"
WEB = "/apis/apps/v1/namespaces/shop/deployments/web"


@pytest_asyncio.fixture
async def delivery(pair_for_delivery: Bed) -> AsyncIterator[Delivery]:
    async with between(pair_for_delivery) as scene:
        yield scene


async def test_a_work_is_applied_in_order_of_ranks_and_a_second_run_changes_nothing(
    delivery: Delivery,
) -> None:
    # The manifests come in the wrong order.
    manifests = deployment("web", config="settings"), config_map("settings", a="1"), namespace()
    async with delivery.delivering():
        await delivery.work("app", *manifests)
        await delivery.says("app", "Applied", "Applied")
    made = [(await delivery.comes(path))["metadata"]["uid"] for path in (SHOP, CONFIG, WEB)]
    applied = await delivery.member.get(APPLIED_WORKS, "app")
    listed = {one.resource: one.uid for one in applied.status.applied_resources}
    assert list(listed.values()) == [made[1], made[0], made[2]]
    assert listed.keys() == {"namespaces", "configmaps", "deployments"}
    before = await delivery.versions(SHOP, CONFIG, WEB)
    async with delivery.delivering():
        await delivery.work("marker", config_map("marker", namespace="default"))
        await delivery.says("marker", "Applied", "Applied")
        await delivery.says("app", "Applied", "Applied")
        assert await delivery.versions(SHOP, CONFIG, WEB) == before
        await delivery.remove("app")
        await delivery.goes(WEB)
        await delivery.goes(CONFIG)
        assert await delivery.member.find(APPLIED_WORKS, "app") is None
        await delivery.remove("marker")


async def test_what_a_work_brings_no_longer_goes_and_what_was_deleted_comes_back(delivery: Delivery) -> None:
    async with delivery.delivering():
        one, two = (config_map(name, namespace="default", a="1") for name in ("one", "two"))
        await delivery.work("pair", one, two)
        await delivery.says("pair", "Applied", "Applied")
        await delivery.work("pair", one)
        await delivery.goes("/api/v1/namespaces/default/configmaps/two")
        path = "/api/v1/namespaces/default/configmaps/one"
        first = (await delivery.comes(path))["metadata"]["uid"]
        await delivery.member.request("DELETE", path)

        async def is_another() -> bool:
            found = await delivery.read(path)
            return found is not None and found["metadata"]["uid"] != first

        await until_found(is_another)
        await delivery.remove("pair")
        await delivery.goes(path)


async def test_what_the_hub_does_not_have_any_more_stays_in_the_member(delivery: Delivery) -> None:
    async with delivery.delivering():
        await delivery.work("kept", config_map("kept", namespace="default"))
        await delivery.says("kept", "Applied", "Applied")
    # The hub is restored from before the Work: nobody has asked to delete anything.
    await delivery.hub.merge_patch(
        WORKS, "kept", {"metadata": {"finalizers": None}}, namespace=delivery.namespace
    )
    await delivery.hub.delete(WORKS, "kept", namespace=delivery.namespace)
    async with delivery.delivering():
        await delivery.work("next", config_map("next", namespace="default"))
        await delivery.says("next", "Applied", "Applied")
        assert await delivery.read("/api/v1/namespaces/default/configmaps/kept") is not None
        await delivery.remove("next")
    await delivery.member.request("DELETE", "/api/v1/namespaces/default/configmaps/kept")


async def test_somebody_elses_object_is_left_and_taken_over_only_where_it_is_said(
    delivery: Delivery,
) -> None:
    path = "/api/v1/namespaces/default/configmaps/theirs"
    body = config_map("theirs", namespace="default", a="theirs")
    await delivery.member.request(
        "POST", "/api/v1/namespaces/default/configmaps?fieldManager=them", body=body
    )
    before = await delivery.versions(path)
    async with delivery.delivering():
        await delivery.work("taking", config_map("theirs", namespace="default", a="ours"))
        await delivery.says("taking", "Applied", "Conflict", word="them")
        await delivery.assignment("taking", revision=1, works=["taking"], takeOver="IfNoDiff")
        await delivery.says("taking", "Applied", "Conflict", word="differs")
        assert await delivery.versions(path) == before
        await delivery.assignment("taking", revision=1, works=["taking"], takeOver="Always")
        await delivery.says("taking", "Applied", "Applied")
        assert (await delivery.comes(path))["data"] == {"a": "ours"}
        await delivery.remove("taking")
        await delivery.goes(path)


async def test_a_field_that_somebody_changed_is_his_and_shown_as_drift(delivery: Delivery) -> None:
    path = "/api/v1/namespaces/default/configmaps/field"
    async with delivery.delivering():
        await delivery.assignment("field", revision=1, works=["field"])
        await delivery.work("field", config_map("field", namespace="default", a="1", b="1"))
        await delivery.says("field", "Applied", "Applied")
        await delivery.member.request(
            "PATCH",
            f"{path}?fieldManager=mallory",
            body={"data": {"a": "2"}},
            content_type="application/merge-patch+json",
        )
        await delivery.says("field", "Applied", "Conflict", word="mallory owns .data.a")
        assert (await delivery.comes(path))["data"] == {"a": "2", "b": "1"}

        async def is_reported() -> bool:
            found = await delivery.hub.get(ASSIGNMENTS, "field", namespace=delivery.namespace)
            return any("mallory" in one for one in found.status.drifted)

        await until_found(is_reported)
        await delivery.assignment("field", revision=1, works=["field"], takeOver="Always")
        await delivery.says("field", "Applied", "Applied")
        assert (await delivery.comes(path))["data"] == {"a": "1", "b": "1"}
        await delivery.remove("field")


async def test_a_new_work_costs_five_requests_and_at_rest_nothing_is_asked(delivery: Delivery) -> None:
    life = Life()
    async with delivery.delivering(life=life):
        await delivery.work("first", config_map("first", namespace="default"))
        await delivery.says("first", "Available", "Healthy")
        before = len(life.asked)
        await delivery.work("second", config_map("second", namespace="default"))
        await delivery.says("second", "Available", "Healthy")
        # Protect it, note it, make it unless somebody has it, note its uid, say so.
        assert [method for method, _ in life.asked[before:]] == ["PATCH"] * 5
        before = len(life.asked)
        # What is of no concern to it costs nothing.
        other = config_map("other", namespace="default")
        await delivery.member.request("POST", "/api/v1/namespaces/default/configmaps", body=other)
        await delivery.hub.merge_patch(
            WORKS, "second", {"metadata": {"labels": {"a": "b"}}}, namespace=delivery.namespace
        )
        await delivery.work("third", config_map("third", namespace="default"))
        await delivery.says("third", "Available", "Healthy")
        assert len(life.asked) - before == 5
        for name in ("first", "second", "third"):
            await delivery.remove(name)
        await delivery.member.request("DELETE", "/api/v1/namespaces/default/configmaps/other")
