"""The whole program, as a pod starts it, beside an API server: workers that die, and the end."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from mesh_fakes.gateway_program import OURS, call
from mesh_fakes.gateway_program import gateway_program as program
from mesh_fakes.waiting import until
from mesh_runtime.kube import (
    ENDPOINT_SLICES,
    LEASES,
)

pytestmark = pytest.mark.asyncio


async def calls(number: int, *, each: float) -> list[str]:
    """What so many callers hear, one every `each` seconds, none of whom waits for another."""
    tasks = []
    for _ in range(number):
        tasks.append(asyncio.create_task(call()))
        await asyncio.sleep(each)
    return await asyncio.gather(*tasks)


async def test_two_workers_serve_and_one_that_is_killed_costs_few_callers_anything(tmp_path: Path) -> None:
    async with program(tmp_path, "--workers=2") as west:
        await west.until_ready(processes=2)
        assert await calls(50, each=0.0) == ["east"] * 50
        holders = {lease.spec.holder_identity for lease in west.api.all(LEASES)}
        assert holders == {OURS, f"{OURS}/1"}
        victim = west.workers[0]
        calling = asyncio.create_task(calls(400, each=0.005))
        os.kill(victim, signal.SIGKILL)
        heard = await calling
        assert heard.count("east") >= 390, "those whose connection the kernel had given to it"
        assert (await west.page("readyz"))[0] == 200, "the pod stays in service"
        await until(lambda: len(west.workers) == 2 and victim not in west.workers, limit=90)
        await west.until_ready(processes=2)
        assert await calls(50, each=0.0) == ["east"] * 50


async def test_while_the_api_server_is_away_what_runs_serves_and_a_new_worker_takes_nobody(
    tmp_path: Path,
) -> None:
    async with program(tmp_path, "--workers=2", f"--snapshot={tmp_path}") as west:
        await west.until_ready(processes=2)
        west.api.stop()
        victim = west.workers[1]
        os.kill(victim, signal.SIGKILL)
        await until(lambda: len(west.workers) == 2 and victim not in west.workers, limit=90)
        assert (await calls(300, each=0.01)).count("east") == 300, "the new one has no certificate yet"
        west.api.start()
        await west.until_ready(processes=2)


@pytest.mark.parametrize("workers", [1, 2])
async def test_at_the_end_callers_are_served_until_no_slice_brings_any(workers: int, tmp_path: Path) -> None:
    async with program(tmp_path, f"--workers={workers}") as west:
        await west.until_ready(processes=workers)
        west.process.send_signal(signal.SIGTERM)
        await west.until_not_ready()
        assert await calls(100, each=0.005) == ["east"] * 100, "kube-proxy may still bring them"
        assert west.process.returncode is None
        west.api.remove(ENDPOINT_SLICES, "hello-east", namespace="demo")
        async with asyncio.timeout(90):
            assert await west.process.wait() == 0
        assert await call() == ""
