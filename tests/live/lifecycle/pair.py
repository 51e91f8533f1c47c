"""The two clusters as a test of joining and leaving sees them."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from live.api_server import api_server_of
from live.hello import Hello
from live.test_one_part_down import kill, pods
from mesh_fakes.bed import Bed
from mesh_fakes.snapshot import Difference, Snapshot, snapshot
from mesh_fakes.waiting import until_found
from mesh_runtime.kube import SERVICE_EXPORTS, SERVICE_IMPORTS, ApiError

HOME = "lifecycle"
CLUSTERS = ("east", "west")
NOTHING = Difference()


@dataclass(frozen=True, slots=True)
class Bare:
    """The bed, and the image of our programs in it."""

    bed: Bed
    program: str


@dataclass(frozen=True, slots=True)
class Pair:
    """east and west, and what was in them before anybody joined."""

    bed: Bed
    program: str
    hello: Hello
    before: dict[str, Snapshot]

    def meshctl(self, *words: str) -> str:
        """What a verb says, which must succeed."""
        return self.bed.done("--kubeconfig", str(self.bed.kubeconfig), *words)

    def tried(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The same, which may fail."""
        return self.bed.meshctl("--kubeconfig", str(self.bed.kubeconfig), *words)

    def timed(self, *words: str) -> str:
        """The same, and how long it took is in the test's output."""
        start = time.monotonic()
        said = self.meshctl(*words)
        print(f"meshctl {' '.join(words)}: {time.monotonic() - start:.1f} s")
        return said

    def join(self, cluster: str, *, trust: Path) -> None:
        """Below the root of that folder, which is made where there is none."""
        if not trust.exists():
            self.bed.done("trust", "init", "--dir", str(trust))
        words = ("--cluster-id", cluster, "--trust", str(trust), *self.programs)
        self.meshctl("join", "--context", cluster, *words)

    @property
    def programs(self) -> tuple[str, ...]:
        """What `join` and `accept` are told of them."""
        return "--image", self.program, "--service-type", "nodeport"

    async def sources(self, cluster: str) -> set[str]:
        """The clusters that stand behind the import of `hello`."""
        try:
            found = await self.hello.kube(cluster).find(SERVICE_IMPORTS, "hello", namespace=HOME)
        except ApiError:
            return set()
        return {entry.cluster for entry in found.status.clusters} if found is not None else set()

    async def answers_from(self, cluster: str, *, source: str) -> None:
        """Returns when calls from `cluster` are answered, and one by `source`."""

        async def is_answered() -> bool:
            if source not in await self.sources(cluster):
                return False
            said = await asyncio.to_thread(self.hello.calls, cluster, 4)
            return "failed" not in said and any(f"hello from {source}" in one for one in said)

        await until_found(is_answered, limit=240)

    async def left(self, cluster: str, *, but: Difference = NOTHING, limit: float = 120) -> Difference:
        """What is otherwise than before anybody joined, when that is nothing `but` this or time is up.

        The API server itself takes a moment to forget a group that is served no more.
        """
        kube, of = self.hello.kube(cluster), self.before[cluster]
        end = time.monotonic() + limit
        while True:
            found = (await snapshot(kube)).since(of)
            if found == but or time.monotonic() > end:
                return found
            await asyncio.sleep(0.3)

    async def unexport(self, cluster: str) -> None:
        """Whose export it is takes it away."""
        await self.hello.kube(cluster).delete(SERVICE_EXPORTS, "hello", namespace=HOME)

    def kill_api_server(self, cluster: str) -> None:
        """Nobody reaches it until `revive`."""
        os.kill(api_server_of(self.bed, cluster=cluster), signal.SIGKILL)

    def kill_member(self, cluster: str) -> None:
        """Its API server, gateways and controllers, at once: what its kubelet starts again knows nobody."""
        programs = [one for part in ("gateway", "controller") for one in pods(self.bed, cluster, part)]
        self.kill_api_server(cluster)
        for pod in programs:
            kill(pod)

    def revive(self) -> None:
        """Both API servers run."""
        self.bed.done("local", "up", "--clusters", ",".join(CLUSTERS), "--dir", str(self.bed.folder))


@asynccontextmanager
async def bare_pair(bare: Bare) -> AsyncIterator[Pair]:
    """With nothing of ours in them, also when the block ends."""
    bed = bare.bed
    async with bed.client("east") as east, bed.client("west") as west:
        hello = Hello(bed, HOME, east, west)
        before = {name: await snapshot(hello.kube(name)) for name in CLUSTERS}
        assert not any("meshctl" in key for one in before.values() for key in one.objects)
        pair = Pair(bed, bare.program, hello, before)
        try:
            yield pair
        finally:
            await _bare_again(pair)


async def _bare_again(pair: Pair) -> None:
    await asyncio.to_thread(pair.revive)
    await asyncio.gather(*(asyncio.to_thread(_emptied, pair, cluster) for cluster in CLUSTERS))


def _emptied(pair: Pair, cluster: str) -> None:
    away = ("delete", "serviceexports.multicluster.x-k8s.io", "--all", "-n", HOME)
    local = ("local", "kubectl", "--dir", str(pair.bed.folder), "--cluster", cluster, "--")
    # There is no such kind any more where all is in order.
    pair.bed.meshctl(*local, *away)
    # A kubelet whose API server was away takes its time to say that a pod has ended.
    pair.meshctl("uninstall", "--force", "--context", cluster, "--timeout", "120")
