"""The whole DNS program, as a pod starts it, beside an API server: workers share the port, die and end."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mesh_dns.snapshot import read_snapshot
from mesh_fakes.dns_program import ADDRESS, LIMIT
from mesh_fakes.dns_program import dns_program as program
from mesh_fakes.gateways import LOOPBACK
from mesh_fakes.http_member import Fault
from mesh_fakes.waiting import until, until_found

pytestmark = pytest.mark.asyncio


async def test_workers_share_the_questions_and_their_numbers_are_one_page(tmp_path: Path) -> None:
    async with program(tmp_path, "--workers=2") as served:
        await served.until_ready(workers=2)
        assert await served.ask_all(60) == {ADDRESS: 60}
        assert await served.ask_all(60, over_tcp=True) == {ADDRESS: 60}

        async def both_counted() -> bool:
            replies = await served.metric("replies_total")
            assert sum(replies.values()) <= 120
            return sum(replies.values()) == 120 and set(replies) == {"0", "1"} and min(replies.values()) > 0

        await until_found(both_counted)  # a page is made once a second
        assert await served.metric("services") == {"0": 1, "1": 1}
        assert set(await served.metric("data_age_seconds")) == {"0", "1"}


async def test_one_that_is_killed_is_replaced_while_the_other_answers(tmp_path: Path) -> None:
    async with program(tmp_path, "--workers=2") as served:
        await served.until_ready(workers=2)
        victim = served.workers[0]
        os.kill(victim, signal.SIGKILL)
        await until(lambda: victim not in served.workers, limit=LIMIT)
        assert await served.ask_all(40) == {ADDRESS: 40}
        assert (await served.page("readyz"))[0] == 200, "the pod stays in service"
        await until(lambda: len(served.workers) == 2, limit=LIMIT)
        await served.until_ready(workers=2)


async def test_a_worker_that_knows_no_names_yet_takes_no_questions(tmp_path: Path) -> None:
    async with program(tmp_path, "--workers=2") as served:
        await served.until_ready(workers=2)
        refused = Fault("GET", "serviceimports", status=503, reason="ServiceUnavailable", times=1_000_000)
        served.member.faults.append(refused)
        victim = served.workers[1]
        os.kill(victim, signal.SIGKILL)
        await until(lambda: len(served.workers) == 2 and victim not in served.workers, limit=LIMIT)

        async def one_lacks_its_names() -> bool:
            return await served.metric("complete") == {"0": 1, "1": 0}

        await until_found(one_lacks_its_names)
        assert await served.ask_all(60) == {ADDRESS: 60}, "not one is answered with SERVFAIL"
        served.member.faults.remove(refused)
        await served.until_ready(workers=2)


async def test_with_a_snapshot_a_worker_that_starts_without_the_api_server_answers_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHCTL_DNS_SNAPSHOT", str(tmp_path))
    async with program(tmp_path, "--workers=2") as served:
        await served.until_ready(workers=2)
        await until(lambda: read_snapshot(tmp_path) is not None, limit=LIMIT)
        refused = Fault("GET", "serviceimports", status=503, reason="ServiceUnavailable", times=1_000_000)
        served.member.faults.append(refused)
        os.kill(served.workers[0], signal.SIGKILL)

        async def one_says_what_was_kept() -> bool:
            return sorted((await served.metric("from_snapshot")).values()) == [0, 1]

        await until_found(one_says_what_was_kept)
        await served.until_ready(workers=2)
        assert await served.ask_all(60) == {ADDRESS: 60}


@pytest.mark.parametrize("workers", [1, 2])
async def test_at_the_end_questions_are_answered_for_a_while_and_then_the_port_is_free(
    workers: int, tmp_path: Path
) -> None:
    async with program(tmp_path, f"--workers={workers}", "--linger=5") as served:
        await served.until_ready(workers=workers)
        served.process.send_signal(signal.SIGTERM)
        await served.until_not_ready()
        assert await served.ask_all(20) == {ADDRESS: 20}, "the nodes' rules may still send them"
        assert served.process.returncode is None
        async with asyncio.timeout(LIMIT):
            assert await served.process.wait() == 0
        assert is_free(served.port)


async def test_no_worker_outlives_its_parent(tmp_path: Path) -> None:
    async with program(tmp_path, "--workers=2") as served:
        await served.until_ready(workers=2)
        assert not is_free(served.port)
        served.process.kill()
        await served.process.wait()
        await until(lambda: is_free(served.port), limit=LIMIT)


def is_free(port: int) -> bool:
    """Whether nobody is asked there: workers that share a port let nobody else have it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (["--workers=0"], {}, "--workers"),
        ([], {"MESHCTL_DNS_WORKERS": "many"}, "--workers or MESHCTL_DNS_WORKERS"),
        ([], {"MESHCTL_DNS_TTL": "5s"}, "--ttl or MESHCTL_DNS_TTL"),
        (["--workers=2", "--listen-port=0"], {}, "--listen-port"),
    ],
)
async def test_settings_that_do_not_read_end_it_with_one_line(
    arguments: list[str], environment: dict[str, str], named: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mesh_dns", *arguments),
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(LIMIT):
        _, said = await process.communicate()
    assert process.returncode == 2
    (line,) = said.decode().splitlines()
    assert named in line and "--help" in line
