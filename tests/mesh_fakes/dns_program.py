"""`python -m mesh_dns` as a process, beside an API server with one import."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.message
from prometheus_client.parser import text_string_to_metric_families

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.gateways import LOOPBACK, free_port
from mesh_fakes.http_member import HttpMember, http_client
from mesh_fakes.kubeconfigs import kubeconfig
from mesh_fakes.member_api import MemberApi
from mesh_fakes.running_program import RunningProgram
from mesh_fakes.waiting import until_found
from mesh_runtime.kube import NAMESPACES, SERVICE_IMPORTS

HELLO = "hello.demo.svc.clusterset.local."
ADDRESS = "10.96.0.10"
LIMIT = 120


@dataclass
class DnsProgram(RunningProgram):
    """The program, which runs, its ports, and the API server that it follows."""

    port: int
    member: HttpMember

    async def metric(self, name: str) -> dict[str, float]:
        """The sum of the samples of a metric, by worker."""
        _, text = await self.page("metrics")
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == f"meshctl_dns_{name}":
                    found[sample.labels.get("worker", "")] += int(sample.value)
        return dict(found)

    async def until_ready(self, *, workers: int) -> None:
        """Returns when so many answer, as their metrics say."""

        async def are_ready() -> bool:
            ready = (await self.metric("ready")).values()
            return (await self.page("readyz"))[0] == 200 and sum(ready) == workers

        await until_found(are_ready)

    async def until_not_ready(self) -> None:
        """Returns when the pod gets no new questions."""

        async def is_not_ready() -> bool:
            return (await self.page("readyz"))[0] == 503

        await until_found(is_not_ready)

    async def ask(self, *, over_tcp: bool = False) -> str:
        """The address that is answered, or why there is none. Each question comes from a port of its own."""
        message = dns.message.make_query(HELLO, "A")
        ask = dns.asyncquery.tcp if over_tcp else dns.asyncquery.udp
        try:
            reply = await ask(message, LOOPBACK, port=self.port, timeout=2.0)
        except (dns.exception.Timeout, OSError, EOFError):
            return "silence"
        return str(reply.answer[0][0]) if reply.answer else reply.rcode().name

    async def ask_all(self, count: int, *, over_tcp: bool = False) -> Counter[str]:
        """What so many askers hear, one after the other."""
        return Counter([await self.ask(over_tcp=over_tcp) for _ in range(count)])


@asynccontextmanager
async def dns_program(folder: Path, *arguments: str) -> AsyncIterator[DnsProgram]:
    """`python -m mesh_dns` beside an API server with one import; it is killed at the end if it runs."""
    port, health = free_port(), free_port()
    member = HttpMember(MemberApi(clock=lambda: datetime.now(UTC)))
    for name in ("demo", SYSTEM_NAMESPACE):
        member.api.put(NAMESPACES, {"metadata": {"name": name}, "status": {"phase": "Active"}})
    spec = {"type": "ClusterSetIP", "ips": [ADDRESS]}
    member.api.put(SERVICE_IMPORTS, {"metadata": {"name": "hello", "namespace": "demo"}, "spec": spec})
    async with AsyncExitStack() as stack:
        kube = await stack.enter_async_context(http_client(member))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mesh_dns", f"--listen-port={port}", f"--health-port={health}"),
            *arguments,
            env={**os.environ, "KUBECONFIG": str(kubeconfig(folder, server=kube.server))},
            stderr=subprocess.DEVNULL,
        )
        try:
            yield DnsProgram(process, health, port, member)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
