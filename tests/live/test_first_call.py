"""The first call, on two real clusters: export in one, resolve and call in the other."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable

import pytest

from live.at_rest import at_rest
from live.hello import Hello, hello_in
from mesh_core.names import LABEL_SERVICE_NAME, shadow_service_name
from mesh_fakes.bed import Bed
from mesh_runtime.kube import (
    ENDPOINT_SLICES,
    IMPORTED_RECORDS,
    NAMESPACES,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    SERVICES,
    KubeClient,
)

pytestmark = pytest.mark.asyncio

LIMIT = 90.0


async def until(condition: Callable[[], Awaitable[bool]], *, limit: float = LIMIT) -> float:
    """Seconds until the condition held; TimeoutError after `limit`."""
    start = time.monotonic()
    async with asyncio.timeout(limit):
        while True:
            if await condition():
                return time.monotonic() - start
            await asyncio.sleep(0.02)


async def imported(hello: Hello, cluster: str) -> bool:
    """Whether the import has its address and a ready endpoint."""
    found = await hello.kube(cluster).find(SERVICE_IMPORTS, "hello", namespace=hello.namespace)
    return found is not None and bool(found.spec.ips) and await ready(hello, cluster, source="east") > 0


async def answered(hello: Hello, cluster: str) -> bool:
    """Whether calls get through: kube-proxy and the gateways follow a new slice a moment after the API."""
    return "failed" not in hello.calls(cluster, 2)


async def ready(hello: Hello, cluster: str, *, source: str) -> int:
    """Ready endpoints of the imported slices of one source cluster."""
    slices = await hello.slices(cluster, source=source)
    return sum(endpoint.is_ready for piece in slices for endpoint in piece.endpoints or ())


async def inventory(kube: KubeClient, namespace: str) -> set[str]:
    """Services, slices and imports of a namespace, by kind and name; of slices only imported ones."""
    slices = await kube.list(ENDPOINT_SLICES, namespace=namespace, labels=LABEL_SERVICE_NAME)
    services = await kube.list(SERVICES, namespace=namespace)
    imports = await kube.list(SERVICE_IMPORTS, namespace=namespace)
    records = [item for item in (await kube.list(IMPORTED_RECORDS)).items if item.spec.namespace == namespace]
    return {
        f"{kind}/{item.metadata.name}"
        for kind, items in (
            ("slice", slices.items),
            ("service", services.items),
            ("import", imports.items),
            ("record", records),
        )
        for item in items
    }


async def services(kube: KubeClient) -> set[tuple[str, str]]:
    """All Services but those of namespaces that are just going, as those of the test before may be."""
    going = {
        one.metadata.name for one in (await kube.list(NAMESPACES)).items if one.metadata.deletion_timestamp
    }
    found = (await kube.list(SERVICES)).items
    return {item.key for item in found if item.metadata.namespace not in going}


async def test_an_exported_service_is_resolved_and_called_from_the_other_cluster(clusterset: Bed) -> None:
    async with hello_in(clusterset, "first-call") as hello:
        await asyncio.gather(hello.deploy("east"), hello.deploy_client("west"))
        await hello.export("east")
        await until(lambda: imported(hello, "west"))

        found = await hello.west.get(SERVICE_IMPORTS, "hello", namespace="first-call")
        shadow = await hello.west.get(
            SERVICES, shadow_service_name(namespace="first-call", name="hello"), namespace="first-call"
        )
        assert found.spec.ips == (shadow.spec.cluster_ip,)

        async def named() -> bool:
            """The servers of names see the import a moment after its author."""
            return hello.ask("west", f"dig +short {hello.host} || true").split() == list(found.spec.ips)

        await until(named)
        await until(lambda: answered(hello, "west"))
        answers = hello.calls("west", 10)
        assert len(answers) == 10

        async def both_answer() -> bool:
            """Endpoints come one after the other."""
            if len(set(answers)) < 2:
                answers.extend(await asyncio.to_thread(hello.calls, "west", 10))
            return len(set(answers)) == 2

        await until(both_answer)
        assert all(re.fullmatch(r"hello from east, pod hello-\S+", answer) for answer in answers), answers


async def test_a_service_exported_by_both_clusters_is_reached_in_both(clusterset: Bed) -> None:
    async with hello_in(clusterset, "both") as hello:
        await asyncio.gather(hello.deploy("east"), hello.deploy("west"), hello.deploy_client("west"))
        await hello.export("east")
        await hello.export("west")

        async def both() -> bool:
            return all([await ready(hello, "west", source=one) for one in ("east", "west")])

        await until(both)
        await until(lambda: answered(hello, "west"))

        async def both_answer() -> bool:
            """kube-proxy may follow one cluster's slice before the other's."""
            answers = await asyncio.to_thread(hello.calls, "west", 40)
            assert "failed" not in answers, answers
            return {answer.split()[2].rstrip(",") for answer in answers} == {"east", "west"}

        await until(both_answer)


async def test_an_unexport_takes_away_the_import_and_nothing_else(clusterset: Bed) -> None:
    async with hello_in(clusterset, "unexport") as hello:
        await hello.deploy("east")
        before = await inventory(hello.west, "unexport")
        services_in_east = await at_rest(lambda: services(hello.east))
        await hello.export("east")
        await until(lambda: imported(hello, "west"))
        assert len(await inventory(hello.west, "unexport")) == len(before) + 4
        await hello.east.delete(SERVICE_EXPORTS, "hello", namespace="unexport")

        async def as_before() -> bool:
            return await inventory(hello.west, "unexport") == before

        await until(as_before)

        async def east_as_before() -> bool:
            return await services(hello.east) == services_in_east

        await until(east_as_before)
        hello.bed.kubectl("east", "-n", "unexport", "get", "deploy/hello", "service/hello")


async def test_kubectl_describe_tells_what_became_of_an_export(clusterset: Bed) -> None:
    async with hello_in(clusterset, "told") as hello:
        export = {
            "metadata": {
                "name": "hello",
                "namespace": "told",
                "annotations": {"meshctl.dev/alow": "west"},
            }
        }
        await hello.east.create(SERVICE_EXPORTS, export)

        def told() -> list[list[str]]:
            shown = clusterset.kubectl("east", "-n", "told", "describe", "serviceexport", "hello")
            lines = [line.split(maxsplit=4) for line in shown.partition("Events:")[2].splitlines()]
            return [line for line in lines if line and line[0] in ("Normal", "Warning")]

        async def says(kind: str, reason: str) -> bool:
            return [kind, reason] in [line[:2] for line in await asyncio.to_thread(told)]

        await until(lambda: says("Warning", "NoService"))
        clusterset.kubectl("east", "-n", "told", "create", "service", "clusterip", "hello", "--tcp=80")
        await until(lambda: says("Warning", "InvalidPolicy"))
        clusterset.kubectl("east", "-n", "told", "annotate", "serviceexport", "hello", "meshctl.dev/alow-")
        await until(lambda: says("Normal", "Exported"))
        print(clusterset.kubectl("east", "-n", "told", "describe", "serviceexport", "hello"))


async def test_scaling_to_zero_and_back_shows_in_the_importing_slices_within_a_second(
    clusterset: Bed,
) -> None:
    async with hello_in(clusterset, "scaled") as hello:
        await hello.deploy("east")
        await hello.export("east")
        await until(lambda: imported(hello, "west"))
        down: list[float] = []
        up: list[float] = []
        # Where the machine, and not the mesh, was late, it is shown at another turn.
        while len(up) < 3 and (min(down, default=1.0) >= 1.0 or min(up, default=1.0) >= 1.0):
            down.append(await lag(hello, replicas=0))
            await until(lambda: withdrawn(hello))
            up.append(await lag(hello, replicas=2))
        print(f"seconds behind: {down} to zero, {up} and back")
        assert min(down) < 1.0 and min(up) < 1.0


async def withdrawn(hello: Hello) -> bool:
    """Withdrawn endpoints stay listed, and are of no use to anybody."""
    slices = await hello.slices("west", source="east")
    conditions = [one.conditions for piece in slices for one in piece.endpoints or ()]
    return bool(conditions) and all(one.ready is False and one.serving is False for one in conditions)


async def lag(hello: Hello, *, replicas: int) -> float:
    """Scale in east; by how many seconds the importing slices in west follow the Service's own."""
    hello.bed.kubectl("east", "-n", hello.namespace, "scale", "deploy/hello", f"--replicas={replicas}")

    async def source_changed() -> bool:
        page = await hello.east.list(
            ENDPOINT_SLICES, namespace=hello.namespace, labels="kubernetes.io/service-name=hello"
        )
        found = [one.is_ready for piece in page.items for one in piece.endpoints or ()]
        return any(found) == bool(replicas)

    async def import_changed() -> bool:
        return (await ready(hello, "west", source="east") > 0) == bool(replicas)

    await until(source_changed, limit=120)
    return await until(import_changed)
