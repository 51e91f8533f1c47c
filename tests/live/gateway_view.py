"""What gateways of a real cluster say of themselves: their metrics, by the API server's pod proxy."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from live.test_one_part_down import pods
from mesh_core.errors import MeshError
from mesh_core.names import HEALTH_PORT, SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_runtime.kube import KubeClient

_PREFIX = "meshctl_gateway_"


@dataclass(frozen=True, slots=True)
class Page:
    """The metrics of one gateway pod: by name, without prefix, and labels."""

    pod: str
    address: str
    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    def total(self, name: str, **labels: str) -> float:
        """The sum of all series of `name` that have these labels; 0 where there is none."""
        wanted = labels.items()
        return sum(
            value for (found, has), value in self.samples.items() if found == name and wanted <= set(has)
        )


async def pages(bed: Bed, kube: KubeClient, *, cluster: str) -> list[Page]:
    """Of all gateway pods that run and answer, by the pods' names."""
    running = [pod for pod in await asyncio.to_thread(pods, bed, cluster, "gateway") if _runs(pod)]
    found = [await _page(kube, pod=pod) for pod in running]
    return [page for page in found if page is not None]


def total(found: list[Page], name: str, **labels: str) -> float:
    """The sum over several gateways."""
    return sum(page.total(name, **labels) for page in found)


def _runs(pod: Mapping[str, Mapping[str, object]]) -> bool:
    return pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")


async def _page(kube: KubeClient, *, pod: Mapping[str, Mapping[str, object]]) -> Page | None:
    name = str(pod["metadata"]["name"])
    path = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/pods/{name}:{HEALTH_PORT}/proxy/metrics"
    try:
        async with asyncio.timeout(30):
            text = (await kube.request("GET", path)).decode()
    except (MeshError, TimeoutError):
        return None  # it starts or ends just now
    samples = {
        (sample.name.removeprefix(_PREFIX), frozenset(sample.labels.items())): float(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return Page(name, str(pod["status"]["podIP"]), samples)
