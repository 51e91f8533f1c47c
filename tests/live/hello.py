"""The sample Service in a namespace of its own, and a pod to ask from."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mesh_core.names import LABEL_SERVICE_NAME, LABEL_SOURCE_CLUSTER
from mesh_core.objects import EndpointSlice
from mesh_fakes.bed import Bed
from mesh_runtime.kube import ENDPOINT_SLICES, NAMESPACES, KubeClient

SAMPLES = Path(__file__).parent.parent.parent / "manifests" / "samples"
FIELD_MANAGER = "live-test"


@dataclass(frozen=True, slots=True)
class Hello:
    """`hello` in `namespace` of both clusters' names; deployed where a test says."""

    bed: Bed
    namespace: str
    east: KubeClient
    west: KubeClient

    def kube(self, cluster: str) -> KubeClient:
        return {"east": self.east, "west": self.west}[cluster]

    @property
    def host(self) -> str:
        return f"hello.{self.namespace}.svc.clusterset.local"

    async def deploy(self, cluster: str) -> None:
        """The Deployment and Service `hello`, ready."""
        kube = self.kube(cluster)
        await self._apply(kube, _cluster_name(cluster), *_sample("hello", "script", "deployment", "service"))
        self._rolled_out(cluster, "hello")

    async def deploy_client(self, cluster: str) -> None:
        """The Deployment `client`, ready."""
        await self._apply(self.kube(cluster), *_sample("client", "deployment"))
        self._rolled_out(cluster, "client")

    async def export(self, cluster: str) -> None:
        await self._apply(self.kube(cluster), *_sample("hello", "export"))

    def ask(self, cluster: str, script: str) -> str:
        """Run a shell script in the client pod."""
        return self.bed.kubectl(
            cluster, "-n", self.namespace, "exec", "deploy/client", "--", "sh", "-c", script
        )

    def calls(self, cluster: str, count: int, *, host: str = "") -> list[str]:
        """Who answered `count` calls, one after another; a failed call is the text `failed`."""
        url = f"http://{host or self.host}"
        script = f"for i in $(seq {count}); do curl -sS --max-time 5 {url} || echo failed; done"
        return self.ask(cluster, script).splitlines()

    def asking(self, cluster: str, script: str) -> subprocess.Popen[str]:
        """Start a shell script in the client pod and do not wait for it."""
        return subprocess.Popen(
            self._kubectl(cluster, "exec", "deploy/client", "--", "sh", "-c", script),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def slices(self, cluster: str, *, source: str) -> list[EndpointSlice]:
        """The imported slices of `hello` from one source cluster."""
        labels = f"{LABEL_SERVICE_NAME}=hello,{LABEL_SOURCE_CLUSTER}={source}"
        page = await self.kube(cluster).list(ENDPOINT_SLICES, namespace=self.namespace, labels=labels)
        return page.items

    def _rolled_out(self, cluster: str, name: str) -> None:
        wait = ("rollout", "status", f"deploy/{name}", "--timeout=240s")
        self.bed.kubectl(cluster, "-n", self.namespace, *wait)

    def _kubectl(self, cluster: str, *arguments: str) -> list[str]:
        local = [
            sys.executable,
            "-m",
            "mesh_cli",
            "local",
            "kubectl",
            "--dir",
            str(self.bed.folder),
            "--cluster",
            cluster,
            "--",
        ]
        return [*local, "-n", self.namespace, *arguments]

    async def _apply(self, kube: KubeClient, *manifests: dict[str, Any]) -> None:
        for manifest in manifests:
            placed = {**manifest, "metadata": {**manifest["metadata"], "namespace": self.namespace}}
            await kube.apply_manifest(placed, field_manager=FIELD_MANAGER)


@asynccontextmanager
async def hello_in(bed: Bed, namespace: str) -> AsyncIterator[Hello]:
    """The namespace in both clusters, gone afterwards."""
    async with bed.client("east") as east, bed.client("west") as west:
        for kube in (east, west):
            await kube.create(NAMESPACES, {"metadata": {"name": namespace}})
        try:
            yield Hello(bed, namespace, east, west)
        finally:
            for kube in (east, west):
                await kube.delete(NAMESPACES, namespace)


def _sample(name: str, *files: str) -> Sequence[dict[str, Any]]:
    """Manifests of a sample, with the image that its kustomization names."""
    kustomization = yaml.safe_load((SAMPLES / name / "kustomization.yaml").read_text())
    text = json.dumps([yaml.safe_load((SAMPLES / name / f"{file}.yaml").read_text()) for file in files])
    for image in kustomization["images"]:
        text = text.replace(f'"{image["name"]}"', f'"{image["name"]}:{image["newTag"]}"')
    manifests: list[dict[str, Any]] = json.loads(text)
    return manifests


def _cluster_name(cluster: str) -> dict[str, Any]:
    meta = {"name": "cluster"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"name": cluster}}
