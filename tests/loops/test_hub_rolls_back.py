"""A copy whose calls fail goes back: the hub hears it of the member, takes the next cluster, and says why."""

import asyncio
from typing import Any

import pytest

from mesh_fakes.placing_scene import PlacingScene, config_map, placing_scene
from mesh_fakes.waiting import until_found
from mesh_placement.decide.traffic_trial import TRAFFIC_VERIFIED
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import LINKS
from mesh_placement.resources import CLUSTER_LINKS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

PAY = "shop/payments"
RTTS = {"east": 2.0, "north": 9.0, "south": 20.0}


async def members(scene: PlacingScene) -> None:
    """Three clusters that reach what west exports, and nobody in them who could try a handshake."""
    for name in (*RTTS, "west"):
        await scene.cluster(name)
        rtt = dict.fromkeys(("ewma", "p50", "p99"), RTTS.get(name, 1.0))
        status = {
            "peers": [{"cluster": "west", "state": "Up", "rttMs": rtt}] if name in RTTS else [],
            "exports": [] if name in RTTS else [{"service": PAY, "ready": 2}],
            "handshakes": [],
        }
        meta = {"name": LINKS, "namespace": f"cluster-{name}"}
        await scene.admin.create(CLUSTER_LINKS, {"metadata": meta, "spec": {}, "status": status})


async def answering(scene: PlacingScene) -> None:
    """What agents do where no gateway can try, for ever."""
    number = 0
    while True:
        await asyncio.sleep(1)
        number += 1
        for name in RTTS:
            link = await scene.admin.get(CLUSTER_LINKS, LINKS, namespace=f"cluster-{name}")
            shakes = [
                {"service": one.service, "via": one.via, "result": "NotProbed: no gateway", "at": str(number)}
                for one in link.spec.verify
            ]
            body = {"status": {"handshakes": shakes}}
            await scene.admin.merge_patch(
                CLUSTER_LINKS, LINKS, body, namespace=f"cluster-{name}", subresource="status"
            )


def spec(*exclude: str) -> dict[str, Any]:  # Any: JSON
    return {
        "manifests": [config_map(a="1")],
        "clusters": {"count": 1, "exclude": ["west", *exclude]},
        "require": {"services": [{"name": "payments", "maxRTT": "40ms"}]},
    }


async def until_in(scene: PlacingScene, *clusters: str) -> None:
    async def is_so() -> bool:
        return [one.cluster for one in (await scene.placement()).status.clusters] == list(clusters)

    await until_found(is_so, limit=300.0)


async def verified(scene: PlacingScene) -> tuple[str, str, str]:
    """What the Placement says of traffic."""
    conditions = (await scene.placement()).status.conditions
    found = next(one for one in conditions if one.type == TRAFFIC_VERIFIED)
    return found.status, found.reason, found.message


async def until_said(scene: PlacingScene, status: str) -> None:
    async def is_so() -> bool:
        return (await verified(scene))[0] == status

    await until_found(is_so)


async def given_calls(scene: PlacingScene, cluster: str) -> tuple[str, ...]:
    return (await scene.assignments())[f"cluster-{cluster}"].spec.calls


async def test_a_copy_that_reaches_nothing_is_given_up_for_the_next_and_the_history_says_why() -> None:
    async with placing_scene() as scene:
        await members(scene)
        agents = asyncio.create_task(answering(scene))
        async with scene.placing(installed_scheduling()):
            await scene.place(**spec())
            await until_in(scene, "east")
            assert await given_calls(scene, "east") == (PAY,)
            await scene.report("east")
            assert (await verified(scene))[:2] == ("Unknown", "NotVerifiedYet")
            await scene.report("east", verified="False")
            await until_in(scene, "east", "north")
            assert await verified(scene) == ("False", "CallsFail", "east: as it was tried")
            await scene.report("north", verified="True")
            await until_in(scene, "north")
            await until_said(scene, "True")
        agents.cancel()
        status = (await scene.placement()).status
        steps = [(one.source, one.target, one.cause) for one in status.history]
        assert steps[0] == ("", "east", "first decision")
        assert steps[1][:2] == ("", "north")
        assert steps[1][2] == "east: Backoff (calls failed: as it was tried)"
        assert [one["cluster"] for one in status.memory["backoffs"]] in (["east"], [])


async def test_the_old_copy_of_a_move_stays_until_the_new_one_has_reached_what_it_calls() -> None:
    async with placing_scene() as scene:
        await members(scene)
        agents = asyncio.create_task(answering(scene))
        async with scene.placing(installed_scheduling()):
            await scene.place(**spec())
            await until_in(scene, "east")
            await scene.report("east", verified="True")
            await scene.place(**spec("east"))
            await until_in(scene, "east", "north")
            await scene.report("north")
            await asyncio.sleep(120)
            await until_in(scene, "east", "north")
            # The new one fails, the third is tried; the old one still serves.
            await scene.report("north", verified="False")
            await until_in(scene, "east", "north", "south")
            await scene.report("south", verified="True")
            await until_in(scene, "south")
        agents.cancel()


async def test_what_calls_nothing_says_nothing_of_traffic() -> None:
    async with placing_scene() as scene:
        await members(scene)
        agents = asyncio.create_task(answering(scene))
        async with scene.placing(installed_scheduling()):
            await scene.place(**spec())
            await until_in(scene, "east")
            await until_said(scene, "Unknown")
            await scene.place(clusters={"count": 1, "names": ["east"]}, require=None)
            await scene.decided(revision=2)

            async def is_silent() -> bool:
                kinds = {one.type for one in (await scene.placement()).status.conditions}
                return TRAFFIC_VERIFIED not in kinds

            await until_found(is_silent)
            assert await given_calls(scene, "east") == ()
        agents.cancel()
