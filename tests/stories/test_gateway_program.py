"""The whole program, as a pod starts it, beside an API server: workers that die, and the end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mesh_core.names import (
    ANNOTATION_READY_ENDPOINTS,
    EGRESS_PORTS,
    LABEL_SERVICE_NAME,
    LABEL_SLICE_MANAGED_BY,
    LABEL_SOURCE_CLUSTER,
    MANAGER,
    PROPERTY_CLUSTER_ID,
    SYSTEM_NAMESPACE,
    TRUST_BUNDLE,
)
from mesh_fakes.backends import backend, saying
from mesh_fakes.clusterset import FakeClusterset, identity
from mesh_fakes.gateways import LOOPBACK, Ingress, free_port, ingress
from mesh_fakes.http_member import HttpMember, http_client
from mesh_fakes.kubeconfigs import kubeconfig
from mesh_fakes.member_api import MemberApi
from mesh_fakes.running_program import RunningProgram
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_runtime.kube import (
    CLUSTER_PROPERTIES,
    CSRS,
    ENDPOINT_SLICES,
    LEASES,
    MESH_PEERS,
    NAMESPACES,
    NODES,
    SERVICE_IMPORTS,
    TRUST_BUNDLES,
    KubeClient,
)
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import make_leaf
from mesh_runtime.request_answer import approve, give
from mesh_runtime.signing_request import request_in

pytestmark = pytest.mark.asyncio

# An address of its own, because the ports of a gateway are fixed.
OURS = f"127.8.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
PORT = EGRESS_PORTS[1000]
WEST = identity("west")
QUICK = ("--farewell=0", "--unlisting=5", "--settle=0", "--drain=5")


@dataclass
class Program(RunningProgram):
    """West's gateway, which runs, and what is around it."""

    api: MemberApi
    far: Ingress

    async def until_ready(self, *, processes: int = 1) -> None:
        """Returns when so many can serve, as their metrics say."""
        async with asyncio.timeout(30):
            while True:
                status, _ = await self.page("readyz")
                _, text = await self.page("metrics")
                ready = [line for line in text.splitlines() if line.startswith("meshctl_gateway_ready")]
                if status == 200 and sum(line.endswith(" 1.0") for line in ready) == processes:
                    return
                await asyncio.sleep(0.1)

    async def until_not_ready(self) -> None:
        """Returns when its pod gets nobody new."""
        async with asyncio.timeout(10):
            while True:
                if (await self.page("readyz"))[0] != 200:
                    return
                await asyncio.sleep(0.01)


def put_west(api: MemberApi, *, clusterset: FakeClusterset, far: Ingress) -> None:
    """West is a member, imports `demo/hello` of east, and knows the way there."""
    for name in ("demo", SYSTEM_NAMESPACE):
        api.put(NAMESPACES, {"metadata": {"name": name}, "status": {"phase": "Active"}})
    api.put(CLUSTER_PROPERTIES, {"metadata": {"name": PROPERTY_CLUSTER_ID}, "spec": {"value": "west"}})
    trust = {"domain": clusterset.domain, "generation": 1, "roots": list(clusterset.roots)}
    api.put(TRUST_BUNDLES, {"metadata": {"name": TRUST_BUNDLE}, "spec": trust})
    ways = [{"host": far.address.host, "port": far.address.port}]
    api.put(MESH_PEERS, {"metadata": {"name": "east"}, "spec": {"gateways": ways}})
    status = {"addresses": [{"type": "InternalIP", "address": address} for address in (LOOPBACK, OURS)]}
    api.put(NODES, {"metadata": {"name": "node"}, "status": status})
    spec = {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
    api.put(SERVICE_IMPORTS, {"metadata": {"name": "hello", "namespace": "demo"}, "spec": spec})
    labels = {
        LABEL_SLICE_MANAGED_BY: MANAGER,
        LABEL_SERVICE_NAME: "hello",
        LABEL_SOURCE_CLUSTER: "east",
    }
    annotations = {ANNOTATION_READY_ENDPOINTS: json.dumps({"http": 1})}
    piece = {
        "metadata": {"name": "hello-east", "namespace": "demo", "labels": labels, "annotations": annotations},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [OURS], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
    }
    api.put(ENDPOINT_SLICES, piece)


async def sign(kube: KubeClient, *, clusterset: FakeClusterset) -> None:
    """What west's controller does: it signs whatever gateways ask for."""
    issuer = clusterset.member("west")
    while True:
        for request in (await kube.list(CSRS)).items:
            if not request.status.certificate:
                key = request_in(request).public_key
                leaf = make_leaf(issuer, identity=WEST, public_key=key, now=clusterset.now)
                approved = await approve(kube, request, message="it is one of us")
                await give(kube, approved, chain_pem=certificates_to_pem((leaf, issuer.certificate)))
        await asyncio.sleep(0.05)


@asynccontextmanager
async def program(folder: Path, *arguments: str) -> AsyncIterator[Program]:
    """`python -m mesh_gateway` in west, while east answers "east"; it is killed at the end if it runs."""
    clusterset, health = FakeClusterset(), free_port()
    member = HttpMember(MemberApi(clock=lambda: datetime.now(UTC)))
    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(backend(saying(b"east")))
        far = await stack.enter_async_context(ingress(clusterset, "east", endpoints=(there,)))
        put_west(member.api, clusterset=clusterset, far=far)
        kube = await stack.enter_async_context(http_client(member))
        await stack.enter_async_context(under_way(sign(kube, clusterset=clusterset)))
        account = kubeconfig(folder, server=kube.server)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mesh_gateway", f"--health-port={health}", "--debug-port=0"),
            *(*QUICK, *arguments),
            env={**os.environ, "KUBECONFIG": str(account), "POD_IP": OURS},
            stderr=subprocess.DEVNULL,
        )
        try:
            yield Program(process, health, member.api, far)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def call() -> str:
    """What a pod of west hears from `demo/hello`; "" when it is refused or cut off."""
    try:
        reader, writer = await asyncio.open_connection(OURS, PORT)
    except OSError:
        return ""
    try:
        writer.write_eof()
        return (await reader.read()).decode()
    except OSError:
        return ""
    finally:
        writer.close()


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
        await until(lambda: len(west.workers) == 2 and victim not in west.workers, limit=10)
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
        await until(lambda: len(west.workers) == 2 and victim not in west.workers, limit=10)
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
        async with asyncio.timeout(20):
            assert await west.process.wait() == 0
        assert await call() == ""
