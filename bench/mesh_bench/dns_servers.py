"""DNS servers in the network of a light cluster, on its API server: ours, and CoreDNS with `multicluster`.

Each is the program of its pod with the options of its pod, one at a time, and answers a question file
wholly right before anybody measures.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mesh_bench.bed import Cluster, child_environment, write_account
from mesh_bench.dns_scene import corefile, denied
from mesh_bench.dnsperf import Asking, dnsperf
from mesh_bench.faults import BenchFault
from mesh_bench.machine import cpu_seconds
from mesh_core.names import DNS, DNS_PORT

OURS, PLAIN, COREDNS, COREDNS_CACHE = "ours", "ours-plain", "coredns", "coredns-cache"
_PEER_PORT = 5399
_READY_LIMIT = 60.0
_STOP_LIMIT = 30.0
_LOOK_AGAIN = 0.2


@dataclass(frozen=True, slots=True)
class DnsServer:
    """One that runs and answers on `port` of every address of the cluster's network."""

    name: str
    port: int
    pid: int
    log: Path

    def cpu_seconds(self) -> float:
        """User and system time of its processes so far."""
        return sum(cpu_seconds(pid) for pid in (self.pid, *_children(self.pid)))


@dataclass(frozen=True, slots=True)
class Ground:
    """Where servers run: the cluster, a folder, the two programs, and what all are asked.

    `native` is where ours lies compiled, empty for nowhere.
    """

    cluster: Cluster
    folder: Path
    coredns: Path
    native: str
    questions: Path


@asynccontextmanager
async def dns_server(name: str, *, processes: int, ground: Ground) -> AsyncIterator[DnsServer]:
    """The server while the block runs, with so many processes, or threads of one. Raises BenchFault."""
    ours = name in (OURS, PLAIN)
    log = ground.folder / f"{name}.log"
    argv, environment = (
        await _ours(name, processes=processes, ground=ground)
        if ours
        else _coredns(name, processes=processes, ground=ground)
    )
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            *("nsenter", f"--net={ground.cluster.network}", "--", *argv),
            env={**child_environment(), **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    server = DnsServer(name, DNS_PORT if ours else _PEER_PORT, process.pid, log)
    try:
        await _until_right(server, process, ground=ground)
        yield server
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_LIMIT):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _ours(name: str, *, processes: int, ground: Ground) -> tuple[list[str], Mapping[str, str]]:
    account = ground.folder / f"{DNS}.kubeconfig"
    if not account.exists():
        await write_account(DNS, cluster=ground.cluster, target=account)
    path = child_environment()["PYTHONPATH"]
    native = [ground.native] if name == OURS and ground.native else []
    return [sys.executable, "-m", "mesh_dns"], {
        "KUBECONFIG": str(account),
        "PYTHONPATH": os.pathsep.join([*native, path]),
        "MESHCTL_DNS_WORKERS": str(processes),
    }


def _coredns(name: str, *, processes: int, ground: Ground) -> tuple[list[str], Mapping[str, str]]:
    config = ground.folder / f"{name}.corefile"
    config.write_text(
        corefile(
            port=_PEER_PORT,
            kubeconfig=str(ground.cluster.kubeconfig),
            context=ground.cluster.name,
            cache=name == COREDNS_CACHE,
        )
    )
    return [str(ground.coredns), "-conf", str(config)], {"GOMAXPROCS": str(processes)}


async def _until_right(server: DnsServer, process: asyncio.subprocess.Process, *, ground: Ground) -> None:
    """Waits until every question of the file is answered as it must be."""
    text = ground.questions.read_text()
    wrong = denied(text)
    wanted = {"NOERROR": len(text.splitlines()) - wrong, "NXDOMAIN": wrong}
    asking = Asking("127.0.0.1", server.port, ground.questions, times=1, open=20)
    came: Mapping[str, int] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(_READY_LIMIT):
            while process.returncode is None:
                came = (await dnsperf(asking, network=ground.cluster.network)).rcodes
                if came == wanted:
                    return
                await asyncio.sleep(_LOOK_AGAIN)
    said = server.log.read_text(errors="replace").strip().splitlines()[-1:]
    raise BenchFault(
        f"{server.name} answers {dict(came)} instead of {wanted}: {' '.join(said)}", next_step="mend that"
    )


def _children(pid: int) -> list[int]:
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(one) for one in found]
