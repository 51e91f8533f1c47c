"""Several workers and their parent, as real processes: one that dies, hangs or will not end."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from mesh_fakes.gateways import LOOPBACK, free_port, listens
from mesh_fakes.kubeconfigs import kubeconfig
from mesh_fakes.waiting import until
from mesh_runtime.lifeline import SEED_BYTES, NoSeed, Place, environment_of, place_of
from mesh_runtime.workers import SILENT, Workers

TESTS = str(Path(__file__).parent.parent)
pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def workers_find_the_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", TESTS, prepend=os.pathsep)


@asynccontextmanager
async def crew(
    count: int, *, manner: str = "", patience: float = 10.0, silent: float = 30.0
) -> AsyncIterator[tuple[Workers, int, asyncio.Event]]:
    """Workers that share a port, and what stops them."""
    port, stop = free_port(), asyncio.Event()
    command = (sys.executable, "-m", "mesh_fakes.worker_program", str(port), manner)
    workers = Workers(count, command=command, patience=patience, silent=silent)
    running = asyncio.create_task(workers.run(stop=stop))
    try:
        yield workers, port, stop
    finally:
        stop.set()
        await running
    assert workers.pids == ()


async def who_answers(port: int) -> int:
    """The process that takes a connection; 0 when none does."""
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        text = await reader.read()
    except OSError:
        return 0
    writer.close()
    return int(text or b"0")


async def all_answer(workers: Workers, *, port: int) -> set[int]:
    """The processes that take connections, as soon as all that run do."""
    async with asyncio.timeout(90):
        while True:
            seen = {await who_answers(port) for _ in range(40)}
            if len(seen) > 1 and seen == set(workers.pids):
                return seen
            await asyncio.sleep(0.05)


async def all_beat(workers: Workers) -> None:
    """Returns when all that run have said where their metrics are."""
    async with asyncio.timeout(90):
        while True:
            if (await workers.metrics()).count(b"worker=") == len(workers.pids):
                return
            await asyncio.sleep(0.05)


def lives(pid: int) -> bool:
    """Whether the process is there, and is no zombie that waits for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_all_workers_take_connections_of_one_port_and_their_metrics_are_one_page() -> None:
    async with crew(2) as (workers, port, _):
        pids = await all_answer(workers, port=port)
        await until(lambda: workers.is_ready, limit=90)
        await all_beat(workers)
        first, second = workers.pids
        assert (await workers.metrics()).decode().splitlines() == [
            "# HELP pid Who it is.",
            "# TYPE pid gauge",
            f'pid{{worker="0"}} {first}',
            f'pid{{worker="1"}} {second}',
        ]
    assert not any(map(lives, pids))


async def test_one_that_is_killed_is_replaced_while_the_other_serves() -> None:
    async with crew(2) as (workers, port, _):
        await all_answer(workers, port=port)
        victim, survivor = workers.pids
        os.kill(victim, signal.SIGKILL)
        await until(lambda: victim not in workers.pids)
        assert workers.is_ready and await who_answers(port) == survivor
        after = await all_answer(workers, port=port)
        assert survivor in after and victim not in after and len(after) == 2


def seed_of(pid: int) -> bytes:
    """What the process was given of its parent's random bytes."""
    lines = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    place = place_of(dict(line.decode().split("=", 1) for line in lines if line))
    assert place is not None and len(place.seed) == SEED_BYTES
    return place.seed


async def test_workers_of_one_parent_share_random_bytes_that_their_successors_get_too() -> None:
    """A cookie that one gave out is known to the others, and by none of another pod."""
    async with crew(2) as (workers, port, _), crew(1) as (others, _, _):
        await all_answer(workers, port=port)
        await until(lambda: others.is_ready, limit=90)
        (seed,) = set(map(seed_of, workers.pids))
        assert seed != seed_of(others.pids[0])
        victim = workers.pids[0]
        os.kill(victim, signal.SIGKILL)
        await until(lambda: victim not in workers.pids)
        after = await all_answer(workers, port=port)
        assert set(map(seed_of, after)) == {seed}


async def test_the_place_of_a_worker_is_told_by_its_environment_and_shows_no_seed() -> None:
    place = Place(number=3, descriptor=7, seed=bytes(range(SEED_BYTES)))
    assert place_of(environment_of(place)) == place
    assert place_of({}) is None
    assert place.seed.hex() not in repr(place) and str(place.seed) not in repr(place)


@pytest.mark.parametrize("seed", ["", "00", "no hexadecimal", "00" * SEED_BYTES + "00"])
async def test_a_worker_without_the_random_bytes_of_its_parent_is_told_in_one_line(seed: str) -> None:
    environment = environment_of(Place(number=3, descriptor=7, seed=bytes(SEED_BYTES)))
    (name,) = (name for name in environment if name.endswith("SEED"))
    with pytest.raises(NoSeed):
        place_of({**environment, name: seed})


async def test_one_that_hangs_is_killed_and_replaced() -> None:
    async with crew(2, silent=3.0) as (workers, port, _):
        await all_answer(workers, port=port)
        victim, survivor = workers.pids
        os.kill(victim, signal.SIGSTOP)
        await until(lambda: not lives(victim), limit=90)
        await until(lambda: len(workers.pids) == 2, limit=90)
        assert survivor in workers.pids


async def test_a_parent_that_stood_still_itself_kills_nobody_for_it() -> None:
    async with crew(2, silent=2.0) as (workers, port, _):
        pids = await all_answer(workers, port=port)
        time.sleep(3.0)  # noqa: ASYNC251  # what is tested: this process stands still, the workers do not
        for _ in range(5):
            await who_answers(port)
        assert set(workers.pids) == pids


async def test_one_that_hangs_is_known_within_ten_seconds() -> None:
    """Until then the kernel gives it its share of the connections."""
    assert SILENT <= 10


async def test_at_the_end_they_are_not_ready_at_once_and_then_gone() -> None:
    async with crew(2) as (workers, port, stop):
        pids = await all_answer(workers, port=port)
        await until(lambda: workers.is_ready, limit=90)
        stop.set()
        await until(lambda: not workers.is_ready)
        await until(lambda: not any(map(lives, pids)), limit=90)


async def test_one_that_does_not_heed_the_end_is_killed() -> None:
    async with crew(1, manner="stubborn", patience=0.3) as (workers, _, stop):
        await until(lambda: workers.is_ready, limit=90)
        (pid,) = workers.pids
        stop.set()
        await until(lambda: not lives(pid), limit=90)


async def test_one_that_ends_again_and_again_is_started_ever_more_seldom(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with crew(1, manner="broken") as (workers, _, _):
        ended: Callable[[], int] = lambda: caplog.text.count("a worker ended")  # noqa: E731  # one word
        await until(lambda: ended() >= 2, limit=90)
        assert not workers.is_ready


def children_of(pid: int) -> set[int]:
    """The processes that `pid` has started."""
    return {int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


@asynccontextmanager
async def program(*arguments: str, folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """The real parent, of real gateways that have no API server, and its health port."""
    health = free_port()
    account = kubeconfig(folder, server=f"http://{LOOPBACK}:{free_port()}")
    environment = {**os.environ, "KUBECONFIG": str(account), "POD_IP": LOOPBACK}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mesh_gateway", f"--health-port={health}", "--debug-port=0", *arguments),
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process, health
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_real_workers_end_with_their_parent_however_it_dies(tmp_path: Path) -> None:
    async with program("--workers=2", folder=tmp_path) as (parent, _):
        await until(lambda: len(children_of(parent.pid)) == 2, limit=90)
        workers = children_of(parent.pid)
        parent.kill()
        await until(lambda: not any(map(lives, workers)), limit=90)


async def test_real_workers_that_cannot_serve_make_no_pod_ready_and_end_in_order(tmp_path: Path) -> None:
    async with program("--workers=2", folder=tmp_path) as (parent, health):
        await until(lambda: listens(health), limit=90)
        await until(lambda: len(children_of(parent.pid)) == 2, limit=90)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{LOOPBACK}:{health}/healthz") as alive:
                assert alive.status == 200
            async with session.get(f"http://{LOOPBACK}:{health}/readyz") as ready:
                assert ready.status == 503
        workers = children_of(parent.pid)
        parent.send_signal(signal.SIGTERM)
        async with asyncio.timeout(90):
            assert await parent.wait() == 0
        assert not any(map(lives, workers))
