"""CoreDNS with `multicluster` and our DNS server in the network of one light cluster, and how both are asked.

Both are the programs themselves, each in a process of its own, reading the same API server as administrator.
They are asked over TCP from inside that network, so that no answer is cut short and no asker is a stranger.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import yaml
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.IN.SRV import SRV
from dns.rrset import RRset
from pyroute2 import netns

from mesh_bench.bed import Bed, Cluster, child_environment
from mesh_bench.guard import SET
from mesh_core.names import CLUSTERSET_ZONE, DNS_PORT
from mesh_local.binaries import coredns_binary
from mesh_runtime.progress import progress_for

START_LIMIT = 180.0  # seconds
ANSWER_LIMIT = 4.0
FEW = 10
COREDNS_PORT = 1053
LOOPBACK = "127.0.0.1"
COREFILE = """.:{port} {{
    errors
    kubernetes cluster.local {zone} {{
        kubeconfig {config}
        multicluster {zone}
    }}
}}
"""

Question = tuple[str, str]
"""(name, type); the name is absolute, without the dot at its end."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a server said: SRV records as port and target, SOA without its serial, the rest as in a zone file.

    `authority` are the types of the records there, `ttls` those of the answer, `name` is the question as it
    came back. `weights` of SRV records and the number of records beside the answer are not compared.
    """

    status: str
    records: frozenset[str] = frozenset()
    authority: frozenset[str] = frozenset()
    ttls: frozenset[int] = frozenset()
    is_authoritative: bool = False
    name: str = ""
    weights: frozenset[int] = field(default=frozenset(), compare=False)
    beside: int = field(default=0, compare=False)

    def __str__(self) -> str:
        if self.status != "NOERROR":
            return self.status
        if len(self.records) > FEW:
            return f"{len(self.records)} records"
        return f"{len(self.records)}: {', '.join(sorted(self.records))}" if self.records else "NODATA"


SILENCE = Said("SILENCE")


@asynccontextmanager
async def both(bed: Bed, cluster: Cluster) -> AsyncIterator[dict[str, int]]:
    """CoreDNS and ours, by name with the port of each, while the block runs; both answer."""
    config = bed.folder / "reader.kubeconfig"
    corefile = bed.folder / "Corefile"
    _write_config(config, everything=bed.folder / SET / "kubeconfig", context=cluster.name)
    corefile.write_text(COREFILE.format(port=COREDNS_PORT, zone=CLUSTERSET_ZONE, config=config))
    binary = await coredns_binary(progress=progress_for(sys.stderr))
    ports = {"coredns": COREDNS_PORT, "ours": DNS_PORT}
    argv = {
        "coredns": (str(binary), "-conf", str(corefile)),
        "ours": (sys.executable, "-m", "mesh_dns"),
    }
    async with AsyncExitStack() as stack:
        for name in argv:
            log = bed.folder / f"{name}.log"
            environment = {"KUBECONFIG": str(config)}
            stack.enter_context(
                running(argv[name], network=cluster.network, environment=environment, log=log)
            )
        for name, port in ports.items():
            await _until_synced(cluster.network, port=port, log=bed.folder / f"{name}.log")
        yield ports


def ask(network: Path, port: int, questions: Sequence[Question]) -> list[Said]:
    """One answer for each question, one after another; blocks."""
    said: list[Said] = []
    while len(said) < len(questions):
        # pyroute2 has no types; this is a plain socket that was made inside the namespace.
        asking = cast(socket.socket, netns.create_socket(str(network), socket.AF_INET, socket.SOCK_STREAM))
        with asking:
            asking.settimeout(ANSWER_LIMIT)
            asking.connect((LOOPBACK, port))
            asking.setblocking(False)  # dnspython waits by itself
            for question in questions[len(said) :]:
                said.append(_one(asking, question))
                if said[-1] is SILENCE:
                    break  # the next one goes by another connection
    return said


def _one(asking: socket.socket, question: Question) -> Said:
    name, kind = question
    query = dns.message.make_query(name, kind)
    query.flags &= ~dns.flags.RD
    try:
        reply = dns.query.tcp(query, LOOPBACK, timeout=ANSWER_LIMIT, sock=asking)
    except dns.exception.Timeout:
        return SILENCE
    return Said(
        status=dns.rcode.to_text(reply.rcode()),
        records=frozenset(text for rrset in reply.answer for text in _shown(rrset)),
        authority=frozenset(dns.rdatatype.to_text(rrset.rdtype) for rrset in reply.authority),
        ttls=frozenset(rrset.ttl for rrset in reply.answer),
        is_authoritative=bool(reply.flags & dns.flags.AA),
        name=reply.question[0].name.to_text(omit_final_dot=True),
        weights=frozenset(one.weight for rrset in reply.answer for one in rrset if isinstance(one, SRV)),
        beside=sum(len(rrset) for rrset in reply.additional),
    )


def _shown(rrset: RRset) -> Iterator[str]:
    for record in rrset:
        if isinstance(record, SRV):
            yield f"SRV {record.port} {record.target}"
        elif isinstance(record, SOA):
            times = f"{record.refresh} {record.retry} {record.expire} {record.minimum}"
            yield f"SOA {record.mname} {record.rname} {times}"
        else:
            yield f"{dns.rdatatype.to_text(rrset.rdtype)} {record}"


@contextmanager
def running(
    argv: Sequence[str], *, network: Path, environment: Mapping[str, str], log: Path
) -> Iterator[None]:
    """A program in the network of a cluster while the block runs; it is killed, not asked to end."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            ["nsenter", f"--net={network}", "--", *argv],
            env={**child_environment(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def _until_synced(network: Path, *, port: int, log: Path) -> None:
    """Return when the server has read everything: before that it cannot deny a name."""
    probe = (f"no.such.svc.{CLUSTERSET_ZONE}", "A")
    said: object = "nothing yet"
    try:
        async with asyncio.timeout(START_LIMIT):
            while True:
                try:
                    [said] = await asyncio.to_thread(ask, network, port, [probe])
                except (OSError, EOFError, dns.exception.DNSException) as error:
                    said = error
                if isinstance(said, Said) and said.status == "NXDOMAIN":
                    return
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise AssertionError(f"{said}\n{log.read_text(errors='replace')[-2000:]}") from error


def _write_config(path: Path, *, everything: Path, context: str) -> None:
    body = {**yaml.safe_load(everything.read_text()), "current-context": context}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        yaml.safe_dump(body, file)
