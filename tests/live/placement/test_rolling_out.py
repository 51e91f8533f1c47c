"""A changed Deployment on real API servers: the second cluster has it when the first is available with it."""

import asyncio
from typing import Any

import pytest

from mesh_fakes.bed import Bed
from mesh_fakes.delivery import deployment, namespace
from mesh_fakes.light_fleet import LightFleet, fleet_at_work
from mesh_fakes.light_members import found_at, give_node, make_ready
from mesh_fakes.waiting import until_found
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.resources import PLACEMENTS

pytestmark = pytest.mark.asyncio

MEMBERS = ("east", "west")
WEB = "/apis/apps/v1/namespaces/shop/deployments/web"
META = {"name": "app", "namespace": "default"}


def spec(image: str, *, deadline: int = 240) -> dict[str, Any]:  # Any: JSON
    web = deployment("web", replicas=1)
    web["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return {
        "clusterSets": ["prod"],
        "manifests": [namespace(), web],
        "rollout": {"maxConcurrent": 1, "soakSeconds": 2, "progressDeadlineSeconds": deadline},
    }


async def images(fleet: LightFleet) -> dict[str, str]:
    """By member, of its Deployment."""
    found = {name: await found_at(member, WEB) for name, member in fleet.members.items()}
    return {
        name: one["spec"]["template"]["spec"]["containers"][0]["image"]
        for name, one in found.items()
        if one is not None
    }


async def has(fleet: LightFleet, *wanted: str) -> dict[str, str]:
    """Images by member once they are these, in whatever order."""

    async def look() -> bool:
        return sorted((await images(fleet)).values()) == sorted(wanted)

    await until_found(look, limit=120.0)
    return await images(fleet)


async def said(fleet: LightFleet, reason: str) -> str:
    """The message of Applied once it has that reason."""

    async def look() -> bool:
        conditions = (await fleet.hub.get(PLACEMENTS, "app", namespace="default")).status.conditions
        return any((one.type, one.reason) == ("Applied", reason) for one in conditions)

    await until_found(look, limit=120.0)
    conditions = (await fleet.hub.get(PLACEMENTS, "app", namespace="default")).status.conditions
    return next(one.message for one in conditions if one.type == "Applied")


async def test_a_change_reaches_one_cluster_after_the_other_and_a_bad_one_stops_at_the_first(
    three_of_light: Bed,
) -> None:
    async with fleet_at_work(three_of_light, members=MEMBERS, scheduling=installed_scheduling()) as fleet:
        for member in fleet.members.values():
            await give_node(member)
        await fleet.hub.create(PLACEMENTS, {"metadata": META, "spec": spec("app:1")})
        await has(fleet, "app:1", "app:1")
        for member in fleet.members.values():
            await make_ready(member, WEB)
        await said(fleet, "Applied")

        await fleet.hub.apply(PLACEMENTS, {"metadata": META, "spec": spec("app:2")}, field_manager="test")
        there = await has(fleet, "app:1", "app:2")
        assert "1 of 2 clusters keep what they have" in await said(fleet, "RollingOut")
        (first,) = [name for name, image in there.items() if image == "app:2"]
        (second,) = {*MEMBERS} - {first}
        await make_ready(fleet.members[first], WEB)
        await has(fleet, "app:2", "app:2")
        await make_ready(fleet.members[second], WEB)
        await said(fleet, "Applied")

        bad = {"metadata": META, "spec": spec("app:bad", deadline=8)}
        await fleet.hub.apply(PLACEMENTS, bad, field_manager="test")
        message = await said(fleet, "RolloutStopped")
        # Whoever has not proved the one before comes first.
        (broken,) = [name for name, image in (await images(fleet)).items() if image == "app:bad"]
        assert f"{broken}: not available in time (Progressing)" in message
        assert sorted((await images(fleet)).values()) == ["app:2", "app:bad"]

        await fleet.programs["hub"].stop()
        fleet.programs["hub"].start()
        await fleet.hub.apply(PLACEMENTS, {"metadata": META, "spec": spec("app:3")}, field_manager="test")
        assert (await has(fleet, "app:2", "app:3"))[broken] == "app:3"
        await make_ready(fleet.members[broken], WEB)
        await has(fleet, "app:3", "app:3")
        await asyncio.gather(*(make_ready(member, WEB) for member in fleet.members.values()))
        await said(fleet, "Applied")
