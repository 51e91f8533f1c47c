"""The hub and the agents as their pods run them, a process each, inside its cluster's network.

Each goes by the rights of its own ServiceAccount and ends by SIGTERM.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from mesh_bench.bed import Cluster, child_environment
from mesh_bench.faults import BenchFault
from mesh_core.names import HEALTH_PORT

_START_LIMIT = 90.0
_STOP_LIMIT = 20.0
_POLL = 0.05


class Program:
    """One running program; `pid` is its process."""

    def __init__(self, cluster: Cluster, *, process: asyncio.subprocess.Process, log: Path) -> None:
        self.cluster = cluster
        self.pid = process.pid
        self._process = process
        self._log = log

    async def until_ready(self) -> None:
        """Its /readyz says yes; raises BenchFault."""
        url = f"http://{self.cluster.address}:{HEALTH_PORT}/readyz"
        with suppress(TimeoutError):
            async with aiohttp.ClientSession() as session, asyncio.timeout(_START_LIMIT):
                while self._process.returncode is None:
                    with suppress(aiohttp.ClientError):
                        async with session.get(url) as answer:
                            if answer.status == 200:
                                return
                    await asyncio.sleep(_POLL)
        end = "\n".join(self._log.read_text(errors="replace").splitlines()[-8:])
        raise BenchFault(
            f"the program in {self.cluster.name} is not ready", next_step=f"see the end of its log:\n{end}"
        )

    async def stop(self) -> None:
        """SIGTERM and wait; it is killed when it does not end."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_LIMIT):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def program(cluster: Cluster, module: str, *, profile: Path | None = None) -> AsyncIterator[Program]:
    """`python -m MODULE` in `cluster`, until the block ends; cProfile writes `profile` then, if given."""
    measured = ("-m",) if profile is None else ("-m", "mesh_bench.profiled", str(profile))
    log = cluster.account.with_suffix(".log")
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            *("nsenter", f"--net={cluster.network}", "--"),
            *(sys.executable, *measured, module),
            env={**child_environment(), "KUBECONFIG": str(cluster.account)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    running = Program(cluster, process=process, log=log)
    try:
        yield running
    finally:
        await running.stop()


@asynccontextmanager
async def agents(clusters: Sequence[Cluster], *, profile: Path | None = None) -> AsyncIterator[list[Program]]:
    """An agent in each, ready; `profile` is a folder for that of the first."""
    async with AsyncExitStack() as stack:
        started = [
            await stack.enter_async_context(
                program(
                    one,
                    "mesh_placement.agent",
                    profile=profile / f"{one.name}.pstats" if profile and one is clusters[0] else None,
                )
            )
            for one in clusters
        ]
        for one in started:
            await one.until_ready()
        yield started
