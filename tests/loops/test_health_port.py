"""The health port: alive while the loop turns, ready when the program says so."""

import asyncio

import aiohttp
import pytest

from mesh_runtime.binding import PortTaken
from mesh_runtime.health import health_server

pytestmark = pytest.mark.asyncio


async def test_ready_is_asked_at_every_request() -> None:
    ready = [False]
    async with health_server(0, ready=lambda: ready[0]) as server, aiohttp.ClientSession() as session:

        async def status(path: str) -> int:
            async with session.get(f"http://127.0.0.1:{server.port}{path}") as answer:
                return answer.status

        assert await status("/healthz") == 200
        assert await status("/readyz") == 503
        ready[0] = True
        assert await status("/readyz") == 200
        ready[0] = False
        assert await status("/readyz") == 503
        assert await status("/metrics") == 404


async def test_a_port_that_is_taken_is_said_at_once() -> None:
    async with health_server(0, ready=lambda: True) as server:
        with pytest.raises(PortTaken):
            async with health_server(server.port, ready=lambda: True):
                pass


async def test_a_page_of_metrics_is_made_once_a_second_however_many_ask() -> None:
    made = 0

    async def metrics() -> bytes:
        nonlocal made
        made += 1
        await asyncio.sleep(0)
        return f"pages_total {made}\n".encode()

    server = health_server(0, ready=lambda: True, metrics=metrics)
    async with server as where, aiohttp.ClientSession() as session:

        async def ask() -> tuple[str, str]:
            async with session.get(f"http://127.0.0.1:{where.port}/metrics") as answer:
                return await answer.text(), answer.headers["Content-Type"]

        began = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(ask() for _ in range(20)))
        took = asyncio.get_running_loop().time() - began
        assert len(set(answers)) <= 1 + took
        assert answers[0] == ("pages_total 1\n", "text/plain; version=0.0.4; charset=utf-8")
        async with asyncio.timeout(10):
            while (await ask())[0] == "pages_total 1\n":
                pass
