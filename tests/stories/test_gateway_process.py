"""`python -m mesh_gateway` as a pod starts and stops it."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
import uvloop
import yaml

from mesh_core.names import EGRESS_PORTS
from mesh_fakes.gateways import LOOPBACK, PATIENT, free_port, listens
from mesh_fakes.route_objects import objects_of, remote
from mesh_fakes.waiting import until
from mesh_gateway.main import run
from mesh_gateway.route import Address
from mesh_gateway.settings import Settings
from mesh_gateway.snapshot import read_snapshot, write_snapshot


@pytest.fixture
def no_api_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubeconfig whose server refuses connections."""
    path = tmp_path / "kubeconfig"
    server = {"server": f"http://{LOOPBACK}:{free_port()}"}
    context = {"cluster": "away", "user": "away"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "away",
        "clusters": [{"name": "away", "cluster": server}],
        "users": [{"name": "away", "user": {"token": "x"}}],
        "contexts": [{"name": "away", "context": context}],
    }
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(path))


def test_without_its_own_address_it_says_what_to_do_and_ends() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "POD_IP"}
    result = subprocess.run(
        [sys.executable, "-m", "mesh_gateway"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 1
    assert "POD_IP is not set" in result.stderr
    assert "status.podIP" in result.stderr


def test_a_setting_that_does_not_read_ends_it_with_one_line() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "mesh_gateway", "--connections", "many"],
        env={**os.environ, "POD_IP": LOOPBACK},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "--connections" in result.stderr and "'many' is no number" in result.stderr


@pytest.mark.usefixtures("no_api_server")
def test_it_listens_to_the_routes_of_its_snapshot_without_an_api_server_and_is_not_ready(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        door, health = Address(LOOPBACK, free_port()), free_port()
        port = next(port for port in reversed(EGRESS_PORTS) if not listens(port))
        write_snapshot(objects_of(remote("east", port=port)), folder=tmp_path)
        settings = Settings(limits=PATIENT, snapshot=tmp_path, health_port=health, debug_port=0)
        running = asyncio.create_task(run(door, settings=settings))
        async with asyncio.timeout(120), aiohttp.ClientSession() as session:
            await until(lambda: listens(port), limit=90)
            async with session.get(f"http://{LOOPBACK}:{health}/readyz") as ready:
                assert ready.status == 503, "it has no certificate (ruling 24)"
            os.kill(os.getpid(), signal.SIGTERM)
            await running
        assert not listens(port)
        assert read_snapshot(tmp_path) is not None, "what was not seen replaces nothing"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())


@pytest.mark.usefixtures("no_api_server")
def test_it_lives_without_an_api_server_and_ends_at_sigterm() -> None:
    async def story() -> None:
        door, health = Address(LOOPBACK, free_port()), free_port()
        running = asyncio.create_task(
            run(door, settings=Settings(limits=PATIENT, health_port=health, debug_port=0))
        )
        async with asyncio.timeout(120), aiohttp.ClientSession() as session:
            await until(lambda: listens(door.port))
            async with session.get(f"http://{LOOPBACK}:{health}/healthz") as alive:
                assert alive.status == 200
            async with session.get(f"http://{LOOPBACK}:{health}/readyz") as ready:
                assert ready.status == 503
            os.kill(os.getpid(), signal.SIGTERM)
            await running
        assert not listens(door.port)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())
