"""The dashboard as a person starts it, over API servers whose objects a test may change."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mesh_core.names import SYSTEM_NAMESPACE, peer_lease_name
from mesh_fakes.clusters import MESH, bare_cluster, make_member
from mesh_fakes.object_server import ObjectServer, served, write_kubeconfig


@dataclass(frozen=True, slots=True)
class Land:
    """Two members, and the kubeconfig with a context for each."""

    east: ObjectServer
    west: ObjectServer
    kubeconfig: Path


@dataclass(frozen=True, slots=True)
class Running:
    """The dashboard's process, and the address that it printed."""

    address: str
    process: asyncio.subprocess.Process


def heard(server: ObjectServer, peer: str, *, ago: float) -> None:
    """`peer` was heard that many seconds ago."""
    when = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat().replace("+00:00", "Z")
    meta = {"name": peer_lease_name(cluster=peer), "namespace": SYSTEM_NAMESPACE}
    server.put("coordination.k8s.io/v1", "leases", {"metadata": meta, "spec": {"renewTime": when}})


def connect(server: ObjectServer, peer: str) -> None:
    condition = {"type": "Connected", "status": "True", "reason": "Synced", "message": ""}
    spec = {"gateways": [{"host": "gw.example", "port": 15443}]}
    status = {"conditions": [condition], "exports": 1}
    server.put(MESH, "meshpeers", {"metadata": {"name": peer}, "spec": spec, "status": status})
    # Ahead of now: it stays fresh for as long as a test may take.
    heard(server, peer, ago=-600)


def export(server: ObjectServer, name: str, *, conflict: str = "") -> None:
    conditions = [{"type": "Conflict", "status": "True", "reason": "PortConflict", "message": conflict}]
    body = {
        "metadata": {"name": name, "namespace": "demo"},
        "status": {"conditions": conditions if conflict else []},
    }
    server.put("multicluster.x-k8s.io/v1beta1", "serviceexports", body)


@pytest.fixture
def land(tmp_path: Path) -> Iterator[Land]:
    with two_members(tmp_path) as land:
        yield land


@contextmanager
def two_members(folder: Path, *, conflict: str = "<script>document.title='owned'</script>") -> Iterator[Land]:
    """east and west, peers of each other; east's checkout is in conflict."""
    servers = {}
    with ExitStack() as stack:
        for name, other in (("east", "west"), ("west", "east")):
            servers[name] = server = bare_cluster(name)
            make_member(server, cluster=name)
            connect(server, other)
            export(server, f"shop-{name}")
            stack.enter_context(served(server))
        export(servers["east"], "checkout", conflict=conflict)
        urls = {name: server.url for name, server in servers.items()}
        file = write_kubeconfig(folder / "kubeconfig", servers=urls, current="east")
        yield Land(east=servers["east"], west=servers["west"], kubeconfig=file)


@asynccontextmanager
async def running(kubeconfig: Path, *, contexts: Sequence[str] = ("east", "west")) -> AsyncIterator[Running]:
    """`meshctl dashboard` of these clusters."""
    asked = [word for context in contexts for word in ("--context", context)]
    words = ["--kubeconfig", str(kubeconfig), "dashboard", *asked]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mesh_cli",
        *words,
        "--every",
        "1",
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            address = (await process.stdout.readline()).decode().strip()
        yield Running(address=address, process=process)
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(10):
            await process.communicate()
