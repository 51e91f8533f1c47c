"""Two real clusters worth a picture: what `meshctl demo` leaves, more exports, one in conflict, and calls.

Everything is gone when the block ends, and a guard removes it when whoever asked is killed.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from mesh_cli.install.shipped import sample_folder
from mesh_fakes.waiting import until_found
from mesh_local.kubectl import kubectl_command

CONTEXTS = ("east", "west")
CALLED = "hello.demo.svc.clusterset.local"
SERVICES = {"east": {"cart": "http", "checkout": "http"}, "west": {"search": "http", "checkout": "web"}}
"""What each exports beside `hello`, and what its port is called. Both have a checkout; the two differ."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Clusters to take pictures of."""

    kubeconfig: Path
    contexts: Sequence[str]

    @property
    def words(self) -> list[str]:
        """How each command is told which clusters."""
        return [word for context in self.contexts for word in ("--context", context)]

    async def meshctl(self, *words: str) -> str:
        """What `meshctl` prints."""
        return await _run([sys.executable, "-m", "mesh_cli", "--kubeconfig", str(self.kubeconfig), *words])


def manifests(cluster: str) -> str:
    """The Services and their exports as one stream of YAML. All lead to the pods of `hello`."""
    documents: list[object] = []
    for name, port in SERVICES[cluster].items():
        meta = {"name": name, "namespace": "demo"}
        ports = [{"name": port, "port": 80, "targetPort": "http"}]
        spec = {"selector": {"app": "hello"}, "ports": ports}
        export = {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport", "metadata": meta}
        documents += [{"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}, export]
    return yaml.safe_dump_all(documents)


@asynccontextmanager
async def shown_pair(folder: Path) -> AsyncIterator[Shown]:
    """The demo's clusters in `folder`, with all that is to be seen."""
    where = folder / "demo"
    guard = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mesh_fakes.guard", str(os.getpid()), str(where)),
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
        start_new_session=True,
    )
    try:
        await _run([sys.executable, "-m", "mesh_cli", "demo", "--dir", str(where)])
        shown = Shown(where / "kubeconfig", CONTEXTS)
        for cluster in CONTEXTS:
            await _kubectl(where, cluster, "apply", "-f", "-", given=manifests(cluster))
        hello = sample_folder("hello")
        await _kubectl(where, "west", "apply", "-k", str(hello))
        await _kubectl(where, "west", "apply", "-f", str(hello / "export.yaml"))
        async with _calls(where):
            await until_found(lambda: _is_there(shown), limit=90.0)
            yield shown
    finally:
        await _run([sys.executable, "-m", "mesh_cli", "local", "down", "--dir", str(where)])
        # Not before: should taking down be broken off, the guard finishes it.
        guard.kill()
        await guard.wait()


async def _is_there(shown: Shown) -> bool:
    return is_worth_a_picture(await shown.meshctl("graph", *shown.words, "-o", "json"))


def is_worth_a_picture(graph: str) -> bool:
    """Whether each name is imported, the conflict is told, and links have a round trip and calls to show."""
    picture = json.loads(graph)
    services = {one["name"]: one for one in picture["services"]}
    names = {"hello", *(name for one in SERVICES.values() for name in one)}
    return (
        all(one["state"] == "fine" and one["ready"] == one["wanted"] for one in picture["clusters"])
        and all(
            link["state"] == "fine" and link["rttSeconds"] and link["bytesForth"] for link in picture["links"]
        )
        and services.keys() == names
        and all(sorted(one["importers"]) == list(CONTEXTS) for one in services.values())
        and {name for name, one in services.items() if one["conflict"]} == {"checkout"}
    )


@asynccontextmanager
async def _calls(where: Path) -> AsyncIterator[None]:
    """Calls across, for as long as the block runs: the pod that makes them ends with its cluster."""
    script = f"while :; do curl -s -o /dev/null --max-time 5 http://{CALLED}; done"
    words = ("-n", "demo", "exec", "deploy/client", "--", "sh", "-c", script)
    command = kubectl_command(words, cluster="west", folder=where)
    calling = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
    try:
        yield
    finally:
        calling.terminate()
        await calling.wait()


async def _kubectl(where: Path, cluster: str, *words: str, given: str = "") -> None:
    await _run(kubectl_command(words, cluster=cluster, folder=where), given=given)


async def _run(words: Sequence[str], *, given: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(600):
        said, _ = await process.communicate(given.encode())
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}\n{said.decode()}")
    return said.decode()
