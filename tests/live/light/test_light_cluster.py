"""Our API client on a real API server: watch caches and leader election through its death and return."""

import asyncio
import os
import signal

import pytest

from live.api_server import api_server_of
from live.light.api_server import start_again
from mesh_fakes.bed import Bed
from mesh_fakes.waiting import until
from mesh_runtime.kube import CONFIG_MAPS, ApiError, Informer, LeaderElection, Unreachable

pytestmark = pytest.mark.asyncio


async def test_a_watch_cache_survives_the_api_server_and_loses_nothing(light: Bed) -> None:
    async with light.client("alone") as kube:
        informer = Informer(kube, CONFIG_MAPS, namespace="default", labels="test=watch")
        reported: list[tuple[str, str]] = []
        informer.on_change(lambda: reported.append(("any", "change")))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(informer.run())
            await informer.synced.wait()
            for name in ("a", "b"):
                meta = {"name": name, "namespace": "default", "labels": {"test": "watch"}}
                await kube.create(CONFIG_MAPS, {"metadata": meta, "data": {"n": "1"}})
            await until(lambda: len(informer) == 2)
            changes = len(reported)

            os.kill(api_server_of(light), signal.SIGKILL)
            with pytest.raises((Unreachable, ApiError)):
                while True:
                    await kube.ready()
            assert len(informer) == 2
            await asyncio.to_thread(start_again, light)
            await kube.merge_patch(CONFIG_MAPS, "a", {"data": {"n": "2"}}, namespace="default")
            await kube.delete(CONFIG_MAPS, "b", namespace="default")
            await until(lambda: len(informer) == 1, limit=120)
            await until(lambda: next(informer.values()).data == {"n": "2"})
            assert len(reported) == changes + 2, "the outage itself was no change"
            task.cancel()


async def test_one_leads_and_a_successor_follows_at_once_when_it_stops(light: Bed) -> None:
    async with light.client("alone") as kube:
        elections = [
            LeaderElection(kube, namespace="default", name="leader", identity=name) for name in ("a", "b")
        ]

        async def lead() -> None:
            assert sum(election.leading for election in elections) == 1
            await asyncio.Event().wait()

        first = asyncio.create_task(elections[0].run(lead))
        await until(lambda: elections[0].leading)
        second = asyncio.create_task(elections[1].run(lead))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        # Sooner than the lease of ten seconds would have ended.
        await until(lambda: elections[1].leading, limit=9)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)


async def test_a_leader_that_cannot_renew_steps_down_and_one_leads_when_the_server_is_back(
    light: Bed,
) -> None:
    async with light.client("alone") as kube:
        elections = [
            LeaderElection(kube, namespace="default", name="outage", identity=name) for name in ("a", "b")
        ]

        async def lead() -> None:
            await asyncio.Event().wait()

        tasks = [asyncio.create_task(election.run(lead)) for election in elections]
        await until(lambda: any(election.leading for election in elections))
        os.kill(api_server_of(light), signal.SIGKILL)
        # The lease lasts ten seconds; whoever held it must have stopped before somebody else may begin.
        await until(lambda: not any(election.leading for election in elections), limit=10)
        await asyncio.to_thread(start_again, light)
        await until(lambda: any(election.leading for election in elections), limit=90)
        assert [election.leading for election in elections].count(True) == 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
