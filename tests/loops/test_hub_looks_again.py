"""A way that breaks, or a cluster that sees nobody, has the Placements that need it decided again at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mesh_core.conditions import rfc3339
from mesh_fakes.placing_scene import PlacingScene, placing_scene
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until_found
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import LINKS
from mesh_placement.resources import CLUSTER_LINKS, CLUSTER_REGISTRATIONS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

NEEDS = {"services": [{"name": "payments", "namespace": "bank"}]}
CLUSTERS = ("bank", "near", "other", "third")
AT_ONCE = 2.0
"""Seconds; what is only gathered waits for half a minute."""


async def says(scene: PlacingScene, teller: str, *, down: tuple[str, ...] = (), ready: int = 1) -> None:
    """Its ways to all others, and what it exports."""
    others = [name for name in CLUSTERS if name != teller]
    peers = [{"cluster": name, "state": "Down" if name in down else "Up"} for name in others]
    exports = [{"service": "bank/payments", "ready": ready}] if teller == "bank" else []
    meta = {"name": LINKS, "namespace": f"cluster-{teller}"}
    body = {"metadata": meta, "status": {"peers": peers, "exports": exports}}
    await scene.admin.apply(CLUSTER_LINKS, body, field_manager="test")


async def answer(scene: PlacingScene) -> None:
    """Whoever is asked for a handshake says that nobody there can try, so that the rows decide."""
    while True:
        for link in (await scene.admin.list(CLUSTER_LINKS)).items:
            tried = [
                {"service": one.service, "via": one.via, "result": "NotProbed", "at": rfc3339(scene.clock())}
                for one in link.spec.verify
            ]
            if tried:
                body = {"metadata": {"name": LINKS, "namespace": link.metadata.namespace}}
                status = {"status": {"handshakes": tried}}
                await scene.admin.apply(
                    CLUSTER_LINKS, {**body, **status}, field_manager="gateways", subresource="status"
                )
        await asyncio.sleep(0.2)


@asynccontextmanager
async def four_clusters(scene: PlacingScene) -> AsyncIterator[None]:
    """That see each other, and a hub that places on them."""
    for name in CLUSTERS:
        await scene.cluster(name)
        await says(scene, name)
    async with under_way(answer(scene)), scene.placing(installed_scheduling()):
        yield


async def placed(scene: PlacingScene, name: str = "app") -> tuple[str, ...]:
    return tuple(one.cluster for one in (await scene.placement(name)).status.clusters)


async def at_work(scene: PlacingScene) -> tuple[str, str]:
    """A Placement that calls the bank, and one that calls nobody, where it is; where else it could be."""
    await scene.place(clusters={"count": 1, "names": ["near", "other"]}, require=NEEDS)
    await scene.decided(revision=1)
    (here,) = await placed(scene)
    await scene.place("alone", clusters={"names": [here]})
    await scene.decided("alone", revision=1)
    await scene.report(here, ready=1)
    (there,) = {"near", "other"} - {here}
    await asyncio.sleep(120)  # nothing is under way any more
    return here, there


async def until_also_in(scene: PlacingScene, there: str) -> float:
    began = asyncio.get_running_loop().time()

    async def is_so() -> bool:
        return there in await placed(scene)

    await until_found(is_so, limit=600.0)
    return asyncio.get_running_loop().time() - began


async def test_a_way_that_breaks_has_those_that_need_it_looked_at_again_at_once() -> None:
    async with placing_scene() as scene, four_clusters(scene):
        here, there = await at_work(scene)
        await says(scene, here, down=("bank",))
        assert await until_also_in(scene, there) < AT_ONCE
        found = await scene.admin.get(CLUSTER_REGISTRATIONS, here)
        assert found.status.standing is None, "one way is no trouble of the cluster"
        assert await placed(scene, "alone") == (here,)


async def test_who_sees_nobody_any_more_is_well_and_what_calls_from_there_is_looked_at_again() -> None:
    async with placing_scene() as scene, four_clusters(scene):
        here, there = await at_work(scene)
        # DependencyLost: its own ways are all down, and nobody else finds anything wrong with it.
        await says(scene, here, down=tuple(name for name in CLUSTERS if name != here))
        assert await until_also_in(scene, there) < AT_ONCE
        assert await placed(scene, "alone") == (here,)


async def test_what_answers_nowhere_is_no_reason_to_leave() -> None:
    async with placing_scene() as scene, four_clusters(scene):
        here, _ = await at_work(scene)
        before = (await scene.placement()).status
        await says(scene, "bank", ready=0)
        await asyncio.sleep(600)
        after = (await scene.placement()).status
        assert (after.revision, await placed(scene)) == (before.revision, (here,))
