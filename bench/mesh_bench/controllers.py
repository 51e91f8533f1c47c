"""Controllers as their pods run them: `python -m mesh_controller`, a process each, in its cluster's network.

Nothing of the program is replaced: it reads its kubeconfig, listens on its own ports, and ends by SIGTERM.
Peers are given each other's stream address itself; the gateway in between only passes the stream through.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from mesh_bench.bed import Bed, Cluster, child_environment
from mesh_bench.machine import cpu_seconds
from mesh_core.errors import EnvironmentFault
from mesh_core.identity import cluster_id
from mesh_core.names import CONTROLLER, HEALTH_PORT, INTERMEDIATE_SECRET, PEER_STREAM_PORT, SYSTEM_NAMESPACE
from mesh_core.objects import MeshPeer
from mesh_runtime.approval import approve_intermediate
from mesh_runtime.kube import LEASES, MESH_PEERS, SECRETS

_START_LIMIT = 60.0
# A watch that was refused at the start counts as current only with its next bookmark, a minute later.
_CONNECT_LIMIT = 150.0
_STOP_LIMIT = 20.0
_POLL = 0.01
_READY_ANSWERS = 5
_IDLE = 3.0


class ControllerFault(EnvironmentFault):
    """A controller does not do what the benchmark needs it for; what it logged last is shown."""

    def __init__(self, what: str, *, log: Path) -> None:
        lines = log.read_text(errors="replace").splitlines()[-8:]
        super().__init__(what, next_step="see the end of its log:\n" + "\n".join(lines))


class Controller:
    """One running controller; `started` is the event loop's time just before its process began.

    `former` is who led before it.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        process: asyncio.subprocess.Process,
        log: Path,
        started: float,
        former: str,
    ) -> None:
        self.cluster = cluster
        self.pid = process.pid
        self.started = started
        self.log = log
        self._former = former
        self._process = process

    async def until_ready(self, *, limit: float) -> float:
        """Seconds from the start of the process until it led and /readyz said yes.

        One that does not lead yet is ready when its caches are: that is not what we are after. It knows that
        it leads a moment after the Lease says so, hence several answers; the first of them counts.
        """
        now = asyncio.get_running_loop().time
        url = f"http://{self.cluster.address}:{HEALTH_PORT}/readyz"
        async with aiohttp.ClientSession() as session, asyncio.timeout(limit):
            while await holder(self.cluster) in ("", self._former):
                self.check()
                await asyncio.sleep(_POLL)
            answers: list[float] = []
            while len(answers) < _READY_ANSWERS:
                self.check()
                answers = [*answers, now()] if await _says_yes(session, url) else []
                await asyncio.sleep(_POLL)
            return answers[0] - self.started

    def check(self) -> None:
        """Raises ControllerFault when it does not run any more."""
        if self._process.returncode is not None:
            raise ControllerFault(f"the controller of {self.cluster.name} has ended", log=self.log)

    def complaints(self) -> dict[str, int]:
        """How many lines of its log are errors and warnings."""
        words = [line.split(" ", 2)[1:2] for line in self.log.read_text(errors="replace").splitlines()]
        return {level: words.count([level]) for level in ("ERROR", "WARNING")}

    async def until_idle(self, *, limit: float) -> None:
        """Until it used less than a tenth of a core for a while: what is written late is work too."""
        async with asyncio.timeout(limit):
            used = cpu_seconds(self.pid)
            while True:
                await asyncio.sleep(_IDLE)
                self.check()
                before, used = used, cpu_seconds(self.pid)
                if used - before < 0.1 * _IDLE:
                    return

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
async def controller(cluster: Cluster, *, profile: Path | None = None) -> AsyncIterator[Controller]:
    """The controller of `cluster`, until the block ends; with `profile`, cProfile writes that file then."""
    measured = () if profile is None else ("-m", "mesh_bench.profiled", str(profile))
    log = cluster.account.with_suffix(".log")
    former = await holder(cluster)
    started = asyncio.get_running_loop().time()
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            *("nsenter", f"--net={cluster.network}", "--"),
            *(sys.executable, *(measured or ("-m",)), "mesh_controller"),
            env={**child_environment(), "KUBECONFIG": str(cluster.account)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    running = Controller(cluster, process=process, log=log, started=started, former=former)
    try:
        yield running
    finally:
        await running.stop()


@asynccontextmanager
async def controllers(bed: Bed, *, profile: Path | None = None) -> AsyncIterator[dict[str, Controller]]:
    """All controllers of `bed`, ready, signed, and peers of one another; `profile` is a folder."""
    names = list(bed.clusters)
    async with _all(bed, profile=profile) as running:
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(sign(bed, bed.clusters[name]))
        for name in names:
            for other in names:
                if other != name:
                    await _introduce(bed.clusters[name], to=bed.clusters[other])
        for one in running.values():
            await one.until_ready(limit=_START_LIMIT)
        for one in running.values():
            await _until_connected(one, peers=[name for name in names if name != one.cluster.name])
        yield running


async def holder(cluster: Cluster) -> str:
    """Who leads the cluster's controllers; "" for nobody."""
    lease = await cluster.kube.find(LEASES, CONTROLLER, namespace=SYSTEM_NAMESPACE)
    return (lease.spec.holder_identity if lease is not None else None) or ""


async def _says_yes(session: aiohttp.ClientSession, url: str) -> bool:
    with suppress(aiohttp.ClientError):
        async with session.get(url) as answer:
            return answer.status == 200
    return False


@asynccontextmanager
async def _all(bed: Bed, *, profile: Path | None) -> AsyncIterator[dict[str, Controller]]:
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(
                controller(cluster, profile=profile / f"{name}.pstats" if profile else None)
            )
            for name, cluster in bed.clusters.items()
        }


async def sign(bed: Bed, cluster: Cluster) -> None:
    """What the person with the root does, unless it is done."""
    secret = await cluster.kube.find(SECRETS, INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE)
    if secret is None:
        await approve_intermediate(
            cluster.kube,
            root=bed.trust.root,
            cluster=cluster_id(cluster.name),
            domain=bed.trust.domain,
            limit=_START_LIMIT,
        )


async def _introduce(cluster: Cluster, *, to: Cluster) -> None:
    spec = {"gateways": [{"host": str(to.address), "port": PEER_STREAM_PORT}]}
    await cluster.kube.apply(MESH_PEERS, {"metadata": {"name": to.name}, "spec": spec}, field_manager="bench")


async def _until_connected(running: Controller, *, peers: Sequence[str]) -> None:
    """Raises ControllerFault when it is not connected to all `peers` in time."""
    kube = running.cluster.kube
    try:
        async with asyncio.timeout(_CONNECT_LIMIT):
            for name in peers:
                while not _is_connected(await kube.get(MESH_PEERS, name)):
                    running.check()
                    await asyncio.sleep(0.05)
    except TimeoutError as error:
        what = f"{running.cluster.name} is not connected to its peers after {_CONNECT_LIMIT:.0f} s"
        raise ControllerFault(what, log=running.log) from error


def _is_connected(peer: MeshPeer) -> bool:
    return any(one.type == "Connected" and one.status == "True" for one in peer.status.conditions)
