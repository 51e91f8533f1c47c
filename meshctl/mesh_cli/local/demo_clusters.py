"""The demo's clusters: what is looked up about them between the commands that it shows."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from mesh_cli.trace.packet_way import Way
from mesh_core.errors import EnvironmentFault
from mesh_core.names import (
    LABEL_SERVICE_NAME,
    LABEL_SOURCE_CLUSTER,
    shadow_service_name,
)
from mesh_local.binaries import Component, find_binaries
from mesh_local.images import Image, client_image, program_image
from mesh_runtime.kube import ENDPOINT_SLICES, MESH_PEERS, SERVICE_IMPORTS, KubeClient, connect
from mesh_runtime.progress import progress_for

IMPORT_LIMIT = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Clusters:
    """The set of local clusters below `folder`."""

    folder: Path

    @property
    def kubeconfig(self) -> Path:
        """One file with a context for each cluster."""
        return self.folder / "kubeconfig"

    def self_description(self, cluster: str) -> Path:
        """A manifest with the ConfigMap from which the sample `hello` knows its cluster's name."""
        file = self.folder / f"cluster-{cluster}.yaml"
        meta = {"name": "cluster", "namespace": "demo"}
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"name": cluster}}
        file.write_text(yaml.safe_dump(manifest))
        return file

    async def kubectl(self) -> tuple[str, ...]:
        """How to start kubectl."""
        binaries = await find_binaries(components=[Component.KUBECTL], progress=progress_for(sys.stderr))
        return binaries.commands[Component.KUBECTL]

    async def image(self, kind: str) -> Image:
        """The program's or the client's image; made when it is not in the cache."""
        make = {"program": program_image, "client": client_image}[kind]
        return await make(progress=progress_for(sys.stderr))

    async def until_imported(self, name: str, *, namespace: str, within: str) -> None:
        """Return when the import has its address and a ready endpoint; EnvironmentFault after a minute."""
        with progress_for(sys.stderr).step(f"waiting until {within} has imported {namespace}/{name}"):
            async with connect(kubeconfig=self.kubeconfig, context=within) as kube:
                try:
                    async with asyncio.timeout(IMPORT_LIMIT):
                        while True:
                            if await _is_imported(kube, name, namespace=namespace):
                                return
                            await asyncio.sleep(0.2)
                except TimeoutError as error:
                    raise EnvironmentFault(
                        f"{within} has not imported {namespace}/{name} in {IMPORT_LIMIT:.0f} s",
                        next_step="look at `meshctl status` and the conditions of the ServiceExport",
                    ) from error

    async def way(self, name: str, *, namespace: str, importer: str, exporter: str) -> Way:
        """The objects that decide a packet's way from `importer` to `exporter`."""
        service = f"{LABEL_SERVICE_NAME}={name},{LABEL_SOURCE_CLUSTER}={exporter}"
        async with connect(kubeconfig=self.kubeconfig, context=importer) as kube:
            route = await kube.list(ENDPOINT_SLICES, namespace=namespace, labels=service)
            imported = await kube.get(SERVICE_IMPORTS, name, namespace=namespace)
            peer = await kube.get(MESH_PEERS, exporter)
        async with connect(kubeconfig=self.kubeconfig, context=exporter) as kube:
            backends = await kube.list(ENDPOINT_SLICES, namespace=namespace, labels=service)
        return Way(
            importer=importer,
            exporter=exporter,
            imported=imported,
            shadow=shadow_service_name(namespace=namespace, name=name),
            route=route.items[0],
            peer=peer,
            backends=backends.items,
        )


async def _is_imported(kube: KubeClient, name: str, *, namespace: str) -> bool:
    imported = await kube.find(SERVICE_IMPORTS, name, namespace=namespace)
    slices = await kube.list(ENDPOINT_SLICES, namespace=namespace, labels=f"{LABEL_SERVICE_NAME}={name}")
    ready: Sequence[bool] = [
        endpoint.is_ready for piece in slices.items for endpoint in piece.endpoints or ()
    ]
    return imported is not None and bool(imported.spec.ips) and any(ready)
