"""A workload lives near what it calls: it comes there, follows, stays while only the hub does not hear its
cluster, moves when the cluster is dead, and comes back; and callers notice no move that we chose."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import pytest

from live.placement_story.aftermath import aftermath
from live.placement_story.calls import Phase, collected, now, recovered, table
from live.placement_story.land import (
    EAST,
    HUB,
    LOST_AFTER,
    MEMBERS,
    ROUND_TRIPS,
    SOUTH,
    WEST,
    Land,
    unheard,
)
from live.placement_story.scene import CHECKOUT, PAYMENTS, TOLERATED, Scene, checkout, payments
from mesh_bench.frozen import frozen
from mesh_fakes.waiting import until, until_found

pytestmark = pytest.mark.asyncio


def is_of_its_length(pair: frozenset[str], milliseconds: float) -> bool:
    """A change of less than a tenth is not told; and a busy machine adds to every round trip."""
    least = ROUND_TRIPS[pair]
    return 0.85 * least <= milliseconds <= 1.25 * least + 15


@asynccontextmanager
async def told_on(land: Land) -> AsyncIterator["Story"]:
    async with AsyncExitStack() as stack:
        calls, collector = stack.enter_context(collected(land.host))
        hub = await stack.enter_async_context(land.bed.client(HUB))
        members = {one: await stack.enter_async_context(land.bed.client(one)) for one in MEMBERS}
        story = Story(land, Scene(hub, members, calls), collector)
        try:
            yield story
        except Exception:
            print(aftermath(land, calls))
            raise
        finally:
            print(table(story.phases))


class Story:
    """Phase after phase; `phases` are those that are over."""

    def __init__(self, land: Land, scene: Scene, collector: tuple[str, int]) -> None:
        self.phases: list[Phase] = []
        self._land, self._scene, self._collector = land, scene, collector
        self._began = 0.0

    def _apply(self, manifest: dict[str, object]) -> None:
        self._land.apply(HUB, manifest)

    async def _for(self, seconds: float) -> None:
        """Until so much time of the calls' clock has passed: how calls fare is what is looked at."""
        end = now() + seconds
        await until(lambda: now() >= end, limit=seconds + 90)

    def _over(self, name: str) -> Phase:
        ended = now()
        self.phases.append(self._scene.calls.phase(name, begun=self._began, ended=ended))
        self._began = ended
        return self.phases[-1]

    async def ways_are_of_their_length(self) -> None:
        async def are_measured() -> bool:
            links = await self._scene.links()
            return len(links) == 6 and all(
                one.state == "Up" and is_of_its_length(frozenset(pair), one.rtt_ms.p50)
                for pair, one in links.items()
            )

        try:
            await until_found(are_measured, limit=240)
        finally:
            for pair, one in sorted((await self._scene.links()).items()):
                print(f"{' -> '.join(pair)}: {one.state}, {one.rtt_ms.p50} ms")

    async def lands_near_payments(self) -> None:
        scene = self._scene
        self._apply(payments(self._land.program, cluster=SOUTH))
        await scene.is_in(PAYMENTS, SOUTH)
        self._apply(checkout(self._land.program, collector=self._collector))
        await scene.is_in(CHECKOUT, EAST)
        self._began = now()
        await scene.is_called_from(EAST, since=self._began)
        await self._for(5)
        assert self._over("a lands near payments").failed == 0

    async def follows_payments(self) -> None:
        scene = self._scene
        self._apply(payments(self._land.program, cluster=WEST))
        await scene.is_in(PAYMENTS, WEST)
        print(f"payments had moved after {now() - self._began:.1f} s")
        await scene.is_in(CHECKOUT, SOUTH)
        print(f"checkout had followed after {now() - self._began:.1f} s")
        await scene.is_called_from(SOUTH, since=now())
        assert self._over("b payments moves, checkout follows").failed == 0

    async def stays_while_only_the_hub_does_not_hear(self) -> None:
        scene = self._scene
        before, uid = (await scene.placement(CHECKOUT)).status, await scene.uid(CHECKOUT, SOUTH)
        with unheard(self._land, SOUTH):
            await scene.phase("Unreachable", SOUTH)
            await scene.is_told("ControlPartition", SOUTH)
            await self._for(TOLERATED + LOST_AFTER)
            assert await scene.homes(CHECKOUT) == (SOUTH,)
        await scene.phase("Ready", SOUTH)
        after = (await scene.placement(CHECKOUT)).status
        assert (after.revision, after.history) == (before.revision, before.history)
        assert await scene.uid(CHECKOUT, SOUTH) == uid
        assert self._over("c only the control line is cut").failed == 0

    async def moves_when_its_cluster_is_dead_and_comes_back(self) -> None:
        scene = self._scene
        stale = await scene.uid(CHECKOUT, SOUTH)
        with frozen(self._land.bed.folder, SOUTH):
            died, at = now(), datetime.now(UTC)
            scene.calls.given_up |= scene.calls.pods(SOUTH)
            await scene.is_told("Dead", SOUTH)
            verdict = now() - died
            lost = datetime.fromisoformat(await scene.lost_since(SOUTH))
            await scene.is_decided_for(CHECKOUT, EAST)
            decided = now() - died
            await scene.is_called_from(EAST, since=died)
            took = recovered(scene.calls, since=died, clusters={EAST})
            print(
                f"dead: Unreachable after {(lost - at).total_seconds():.0f} s, Dead after {verdict:.1f} s, "
                f"decided after {decided:.1f} s, calls answered again after {took:.1f} s"
            )
            self._began = died
            self._over("d its cluster dies")
        left = (await scene.placement(CHECKOUT)).status.history[-1]
        assert (left.source, left.target, left.cause) == (SOUTH, EAST, "south: Dead (Dead)")
        assert (datetime.fromisoformat(left.time) - lost).total_seconds() >= TOLERATED
        await scene.phase("Ready", SOUTH)

        async def is_purged() -> bool:
            return await scene.uid(CHECKOUT, SOUTH) != stale

        await until_found(is_purged, limit=120)
        print(f"the copy of before was gone {now() - self._began:.1f} s after its cluster was back")
        await scene.is_in(CHECKOUT, SOUTH)
        print(f"checkout had come back after {now() - self._began:.1f} s")
        await scene.is_called_from(SOUTH, since=now())
        assert self._over("e its cluster is back").failed == 0
        moves = (await scene.placement(CHECKOUT)).status.history
        # Each of our own choice is two: the new copy first, then the old one.
        assert [(one.source, one.target) for one in moves] == [
            *(("", EAST), ("", SOUTH), (EAST, "")),
            *((SOUTH, EAST), ("", SOUTH), (EAST, "")),
        ]
        assert scene.calls.unheard() == 0, "of every call it is known what came of it"
        print(f"load {os.getloadavg()[0]:.1f}")


async def test_a_workload_lands_near_what_it_calls_follows_stays_moves_and_comes_back(
    story_land: Land,
) -> None:
    async with told_on(story_land) as story:
        await story.ways_are_of_their_length()
        await story.lands_near_payments()
        await story.follows_payments()
        await story.stays_while_only_the_hub_does_not_hear()
        await story.moves_when_its_cluster_is_dead_and_comes_back()
