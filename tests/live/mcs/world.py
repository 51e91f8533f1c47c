"""How a test looks at the scene: objects by the API, names and calls from a pod."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from conformance.mode import Mode
from live.mcs.pods import Manifest
from mesh_core.names import LABEL_SERVICE_NAME, LABEL_SOURCE_CLUSTER
from mesh_core.objects import Condition, EndpointSlice, KubernetesObject, Service, ServiceImport
from mesh_fakes.bed import Bed
from mesh_runtime.kube import (
    ENDPOINT_SLICES,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    SERVICES,
    KubeClient,
    Resource,
)

T = TypeVar("T")

NAMESPACE = "mcs"
FIELD_MANAGER = "live-test"
CLUSTERS = ("east", "west")
LIMIT = 90.0  # seconds; the machine may have other things to do
PACE = 0.05


class PodCondition(msgspec.Struct, frozen=True):
    type: str
    status: str


class PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: tuple[PodCondition, ...] = ()


class Pod(KubernetesObject, frozen=True, kw_only=True):
    """core/v1 Pod, as much as is asked here."""

    status: PodStatus = PodStatus()

    @property
    def is_ready(self) -> bool:
        ready = any(one.type == "Ready" and one.status == "True" for one in self.status.conditions)
        return ready and self.metadata.deletion_timestamp is None


PODS = Resource("", "v1", "pods", "Pod", Pod)


@dataclass(frozen=True, slots=True)
class Reply:
    """Who answered a call: its cluster and name, its own address, the port it was reached at."""

    cluster: str
    pod: str
    address: str
    port: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What DNS said to one question; `records` are (type, data) in the order of the answer."""

    status: str
    is_authoritative: bool
    records: tuple[tuple[str, str], ...]

    @property
    def data(self) -> tuple[str, ...]:
        return tuple(data for _kind, data in self.records)

    @property
    def summary(self) -> str:
        """`NXDOMAIN`, `NODATA`, or the status, and with records how many."""
        if self.status != "NOERROR":
            return self.status
        return f"NOERROR {len(self.records)}" if self.records else "NODATA"


def host(name: str, *, namespace: str = NAMESPACE) -> str:
    """A name's fully qualified spelling: with the dot no search domain is tried."""
    return f"{name}.{namespace}.svc.clusterset.local."


@dataclass(frozen=True, slots=True)
class World:
    """Both clusters of one mode."""

    mode: Mode
    bed: Bed
    east: KubeClient
    west: KubeClient

    @property
    def is_flat(self) -> bool:
        return self.mode is Mode.FLAT

    def kube(self, cluster: str) -> KubeClient:
        return {"east": self.east, "west": self.west}[cluster]

    async def apply(self, cluster: str, *manifests: Manifest, namespace: str = NAMESPACE) -> None:
        for manifest in manifests:
            placed = {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}
            await self.kube(cluster).apply_manifest(placed, field_manager=FIELD_MANAGER)

    async def imported(self, cluster: str, name: str, *, namespace: str = NAMESPACE) -> ServiceImport | None:
        return await self.kube(cluster).find(SERVICE_IMPORTS, name, namespace=namespace)

    async def the_import(self, cluster: str, name: str) -> ServiceImport:
        return await self.kube(cluster).get(SERVICE_IMPORTS, name, namespace=NAMESPACE)

    async def service(self, cluster: str, name: str) -> Service:
        return await self.kube(cluster).get(SERVICES, name, namespace=NAMESPACE)

    async def slices(
        self, cluster: str, name: str, *, source: str = "", namespace: str = NAMESPACE
    ) -> list[EndpointSlice]:
        """The slices of an import, of one source cluster or of all."""
        labels = f"{LABEL_SERVICE_NAME}={name}" + (f",{LABEL_SOURCE_CLUSTER}={source}" if source else "")
        return (await self.kube(cluster).list(ENDPOINT_SLICES, namespace=namespace, labels=labels)).items

    async def pods(self, cluster: str, labels: str) -> list[Pod]:
        return (await self.kube(cluster).list(PODS, namespace=NAMESPACE, labels=labels)).items

    async def condition(
        self, cluster: str, name: str, kind: str, *, namespace: str = NAMESPACE
    ) -> Condition | None:
        """One condition of a ServiceExport; None as long as it has none."""
        export = await self.kube(cluster).get(SERVICE_EXPORTS, name, namespace=namespace)
        return next((one for one in export.status.conditions if one.type == kind), None)

    async def verdict(self, cluster: str, name: str, kind: str) -> str:
        """A condition of a ServiceExport as `status reason`, "" as long as it has none."""
        found = await self.condition(cluster, name, kind)
        return f"{found.status} {found.reason}" if found else ""

    def shell(self, cluster: str, script: str) -> str:
        """What a script says in the pod `client`."""
        return self.bed.execute(cluster, (NAMESPACE, "deploy/client"), script)

    def dig(self, cluster: str, *questions: tuple[str, str]) -> list[Answer]:
        """What the cluster's DNS says to (name, type), in one go."""
        asked = " ".join(f"{name} {kind}" for name, kind in questions)
        text = self.shell(cluster, f"dig +noall +comments +answer +tries=5 +time=5 {asked}")
        answers = _answers(text)
        assert len(answers) == len(questions), text
        return answers

    def calls(self, cluster: str, name: str, port: int, *, count: int = 1) -> list[Reply]:
        """Who answered `count` TCP connections, one after another; those that failed are left out."""
        return self.raw_calls(cluster, f"nc -d -w 10 {name} {port}", count=count)

    def udp_calls(self, cluster: str, name: str, port: int) -> list[Reply]:
        return self.raw_calls(cluster, f"echo hi | socat -t 3 - UDP4:{name}:{port}", count=1)

    def raw_calls(self, cluster: str, command: str, *, count: int) -> list[Reply]:
        """Replies to a shell command, run `count` times."""
        said = self.shell(cluster, f"for i in $(seq {count}); do {command} 2>/dev/null; done")
        return [Reply(*words) for words in map(str.split, said.splitlines()) if len(words) == 4]

    async def reached(
        self, cluster: str, name: str, port: int, *, count: int = 1, limit: float = LIMIT
    ) -> list[Reply]:
        """Replies to `count` calls, once all of them are answered: kube-proxy and gateways follow the API."""

        async def called() -> list[Reply]:
            return self.calls(cluster, name, port, count=count)

        return await seen(called, lambda replies: len(replies) == count, limit=limit)


async def seen(look: Callable[[], Awaitable[T]], holds: Callable[[T], bool], *, limit: float = LIMIT) -> T:
    """What was looked at, as soon as it holds; AssertionError with the last sight after `limit` seconds."""
    end = time.monotonic() + limit
    while True:
        sight = await look()
        if holds(sight):
            return sight
        assert time.monotonic() < end, f"after {limit:.0f} s still {sight!r}"
        await asyncio.sleep(PACE)


async def took(look: Callable[[], Awaitable[T]], holds: Callable[[T], bool]) -> float:
    """Seconds until it held."""
    start = time.monotonic()
    await seen(look, holds)
    return time.monotonic() - start


def _answers(text: str) -> list[Answer]:
    found: list[Answer] = []
    for part in text.split(";; ->>HEADER<<-")[1:]:
        status = part.split("status: ")[1].split(",")[0]
        flags = part.split(";; flags: ")[1].split(";")[0].split()
        rows = [line.split(None, 4) for line in part.splitlines()[1:] if line and not line.startswith(";")]
        records = tuple((row[3], row[4]) for row in rows if len(row) == 5)
        found.append(Answer(status, "aa" in flags, records))
    return found


def ready_addresses(slices: Sequence[EndpointSlice]) -> list[str]:
    """First addresses of all ready endpoints, sorted."""
    return sorted(one.addresses[0] for piece in slices for one in piece.endpoints or () if one.is_ready)
