"""Our DNS server killed and started again while the API server is away: real processes, a real API server."""

import asyncio
import os
import signal
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from live.api_server import api_server_of
from live.coredns.servers import ask, running
from live.light.api_server import start_again
from live.mcs.world import seen
from live.nodes import nodes_of
from mesh_core.names import CLUSTERSET_ZONE, DNS_PORT
from mesh_fakes.access import ELSEWHERE
from mesh_fakes.bed import Bed
from mesh_local.names import names_of
from mesh_runtime.kube import SERVICE_IMPORTS, ApiError, KubeClient, Unreachable

pytestmark = pytest.mark.asyncio

LIMIT = 90.0  # seconds
STAYS, GOES, MOVES = "stays", "goes", "moves"


@dataclass(frozen=True, slots=True)
class Server:
    """Our DNS server in the cluster's network, which keeps what it knows in `folder`."""

    bed: Bed
    folder: Path

    @property
    def network(self) -> Path:
        [node] = nodes_of(self.bed, "alone")
        return names_of(self.bed.folder.resolve()).namespace(node.name)

    def run(self) -> AbstractContextManager[None]:
        """Runs while the block does; then it is killed."""
        environment = {"KUBECONFIG": str(self.bed.kubeconfig), "MESHCTL_DNS_SNAPSHOT": str(self.folder)}
        argv = (sys.executable, "-m", "mesh_dns")
        log = self.folder.with_suffix(".log")
        return running(argv, network=self.network, environment=environment, log=log)

    async def said(self) -> dict[str, str]:
        """What it says of each import; nothing while it does not listen yet."""
        questions = [(f"{name}.{ELSEWHERE}.svc.{CLUSTERSET_ZONE}", "A") for name in (STAYS, GOES, MOVES)]
        try:
            answers = await asyncio.to_thread(ask, self.network, DNS_PORT, questions)
        except (OSError, EOFError):
            return {}
        return dict(zip((STAYS, GOES, MOVES), map(str, answers), strict=True))

    async def until(self, wanted: dict[str, str]) -> None:
        await seen(self.said, lambda said: said == wanted, limit=LIMIT)

    async def until_kept(self, *texts: str) -> None:
        """Return when the disk has all that."""

        async def kept() -> str:
            return "".join(file.read_text() for file in self.folder.glob("*.snapshot"))

        await seen(kept, lambda text: all(one in text for one in texts), limit=LIMIT)


async def make(kube: KubeClient, name: str, address: str) -> None:
    ports = [{"port": 80, "protocol": "TCP"}]
    spec = {"type": "ClusterSetIP", "ips": [address], "ports": ports}
    await kube.create(SERVICE_IMPORTS, {"metadata": {"name": name, "namespace": ELSEWHERE}, "spec": spec})


async def test_a_server_that_starts_without_the_api_server_says_what_was_true_and_then_what_is(
    light: Bed, tmp_path: Path
) -> None:
    server = Server(light, tmp_path / "names")
    server.folder.mkdir()
    known = {STAYS: "1: A 10.96.0.11", GOES: "1: A 10.96.0.12", MOVES: "1: A 10.96.0.13"}
    async with light.client("alone") as kube:
        for name, said in known.items():
            await make(kube, name, said.split()[-1])
        with server.run():
            await server.until(known)
            await server.until_kept(*(said.split()[-1] for said in known.values()))
        # What nobody saw happens while it is away, and then the API server is away too.
        await kube.delete(SERVICE_IMPORTS, GOES, namespace=ELSEWHERE)
        moved = {"spec": {"ips": ["10.96.0.23"]}}
        await kube.merge_patch(SERVICE_IMPORTS, MOVES, moved, namespace=ELSEWHERE)
        os.kill(api_server_of(light), signal.SIGKILL)
        with pytest.raises((Unreachable, ApiError)):
            while True:
                await kube.ready()
        with server.run():
            await server.until(known)
            await asyncio.to_thread(start_again, light)
            now = {**known, GOES: "NXDOMAIN", MOVES: "1: A 10.96.0.23"}
            await server.until(now)
            await server.until_kept("10.96.0.23")
        with server.run():
            await server.until(now)
