"""`python -m mesh_gateway` of west as a process, beside an API server and a gateway of east that answers."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

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
from mesh_runtime.kube import (
    CLUSTER_PROPERTIES,
    CSRS,
    ENDPOINT_SLICES,
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

# An address of its own, because the ports of a gateway are fixed.
OURS = f"127.8.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
PORT = EGRESS_PORTS[1000]
WEST = identity("west")
QUICK = ("--farewell=0", "--unlisting=5", "--settle=0", "--drain=5")


@dataclass
class GatewayProgram(RunningProgram):
    """West's gateway, which runs, and what is around it."""

    api: MemberApi
    far: Ingress

    async def until_ready(self, *, processes: int = 1) -> None:
        """Returns when so many can serve, as their metrics say."""
        async with asyncio.timeout(120):
            while True:
                status, _ = await self.page("readyz")
                _, text = await self.page("metrics")
                ready = [line for line in text.splitlines() if line.startswith("meshctl_gateway_ready")]
                if status == 200 and sum(line.endswith(" 1.0") for line in ready) == processes:
                    return
                await asyncio.sleep(0.1)

    async def until_not_ready(self) -> None:
        """Returns when its pod gets nobody new."""
        async with asyncio.timeout(60):
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
async def gateway_program(folder: Path, *arguments: str) -> AsyncIterator[GatewayProgram]:
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
            yield GatewayProgram(process, health, member.api, far)
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
