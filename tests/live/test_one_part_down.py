"""Killing one part: the API keeps what it holds, other traffic goes on, the part comes back by itself."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from live.at_rest import at_rest, until_again
from live.hello import Hello, hello_in
from live.test_first_call import answered, imported, until
from mesh_core.names import ANNOTATION_READY_ENDPOINTS, LABEL_SERVICE_NAME, SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_runtime.kube import ENDPOINT_SLICES, IMPORTED_RECORDS, MESH_PEERS, SERVICE_IMPORTS, SERVICES

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def calling(clusterset: Bed, namespace: str) -> AsyncIterator[Hello]:
    """hello exported from east, a client in west that can call it."""
    async with hello_in(clusterset, namespace) as hello:
        await asyncio.gather(hello.deploy("east"), hello.deploy_client("west"))
        await hello.export("east")
        await until(lambda: imported(hello, "west"))
        await until(lambda: answered(hello, "west"))
        await until(lambda: whole(hello), limit=90)
        yield hello


async def whole(hello: Hello) -> bool:
    """Whether west has heard of both pods, and both of its gateways are in: until then its state moves."""
    slices = await hello.slices("west", source="east")
    told = [json.loads(piece.metadata.annotations.get(ANNOTATION_READY_ENDPOINTS, "{}")) for piece in slices]
    listed = [one for piece in slices for one in piece.endpoints or ()]
    gateways = [one for one in listed if one.conditions is None or one.conditions.ready is not False]
    return told == [{"http": 2}] and len(gateways) == 2


async def state(hello: Hello) -> dict[str, Any]:
    """What the API of west holds of the import, without versions and times; addresses of gateways too."""
    kube = hello.west
    held: dict[str, Any] = {}
    for item in (await kube.list(SERVICE_IMPORTS, namespace=hello.namespace)).items:
        held[f"import/{item.metadata.name}"] = msgspec.to_builtins((item.metadata.uid, item.spec))
    for service in (await kube.list(SERVICES, namespace=hello.namespace)).items:
        held[f"service/{service.metadata.name}"] = msgspec.to_builtins((service.metadata.uid, service.spec))
    slices = await kube.list(ENDPOINT_SLICES, namespace=hello.namespace, labels=LABEL_SERVICE_NAME)
    for piece in slices.items:
        content = (piece.metadata.uid, piece.metadata.annotations, piece.ports, piece.endpoints)
        held[f"slice/{piece.metadata.name}"] = msgspec.to_builtins(content)
    for record in (await kube.list(IMPORTED_RECORDS)).items:
        if record.spec.namespace == hello.namespace:
            held[f"record/{record.metadata.name}"] = msgspec.to_builtins((record.metadata.uid, record.spec))
    for peer in (await kube.list(MESH_PEERS)).items:
        held[f"peer/{peer.metadata.name}"] = msgspec.to_builtins((peer.metadata.uid, peer.spec))
    return held


def pods(bed: Bed, cluster: str, component: str) -> list[dict[str, Any]]:
    selector = f"app.kubernetes.io/component={component}"
    text = bed.kubectl(cluster, "-n", SYSTEM_NAMESPACE, "get", "pods", "-l", selector, "-o", "json")
    found: list[dict[str, Any]] = msgspec.json.decode(text)["items"]
    return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


def processes_of(pod: dict[str, Any]) -> list[int]:
    """The processes of a pod's container on this machine, found by the container's cgroup."""
    container = pod["status"]["containerStatuses"][0]["containerID"].split("//")[1]
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and container in (entry / "cgroup").read_text():
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
    return found


def kill(pod: dict[str, Any]) -> None:
    """SIGKILL the container's processes, as the kernel does when memory runs out."""
    victims = processes_of(pod)
    assert victims, "the pod has no process"
    for pid in victims:
        os.kill(pid, signal.SIGKILL)


async def until_back(bed: Bed, cluster: str, component: str, *, restarts: int) -> None:
    """Return when every pod of the component is ready and so many restarts were counted."""

    async def back() -> bool:
        statuses = [pod["status"].get("containerStatuses", []) for pod in pods(bed, cluster, component)]
        containers = [one for status in statuses for one in status]
        counted = sum(int(one["restartCount"]) for one in containers)
        return counted >= restarts and all(one["ready"] for one in containers)

    # A container that ends for the second time in ten minutes is kept waiting by its kubelet.
    await until(back, limit=240)


def restarts(bed: Bed, cluster: str, component: str) -> int:
    statuses = [pod["status"].get("containerStatuses", []) for pod in pods(bed, cluster, component)]
    return sum(int(one["restartCount"]) for status in statuses for one in status)


def kill_all(bed: Bed, cluster: str, component: str) -> int:
    """Kill every pod of the component; gives the restarts that are counted once each is back."""
    count, victims = restarts(bed, cluster, component), pods(bed, cluster, component)
    for pod in victims:
        kill(pod)
    return count + len(victims)


@pytest.mark.parametrize("cluster", ["west", "east"])
async def test_a_killed_controller_changes_nothing_and_no_call_fails(clusterset: Bed, cluster: str) -> None:
    async with calling(clusterset, f"no-controller-{cluster}") as hello:
        before = await at_rest(lambda: state(hello))
        count = kill_all(clusterset, cluster, "controller")
        answers = hello.calls("west", 20)
        assert "failed" not in answers and len(answers) == 20
        # By UIDs too: what was taken away and made again is not the same.
        await until_again(lambda: state(hello), before)
        await until_back(clusterset, cluster, "controller", restarts=count)
        await until_again(lambda: state(hello), before)
        assert "failed" not in hello.calls("west", 5)


async def test_killed_dns_servers_take_no_connection_with_them_and_names_come_back(clusterset: Bed) -> None:
    async with calling(clusterset, "no-dns") as hello:
        before = await at_rest(lambda: state(hello))
        found = await hello.west.get(SERVICE_IMPORTS, "hello", namespace=hello.namespace)
        count = kill_all(clusterset, "west", "dns")
        answers = hello.calls("west", 20, host=found.spec.ips[0])
        assert "failed" not in answers and len(answers) == 20
        await until_back(clusterset, "west", "dns", restarts=count)
        await until_again(lambda: state(hello), before)

        async def named() -> bool:
            return hello.ask("west", f"dig +short +time=2 +tries=1 {hello.host} || true").split() == list(
                found.spec.ips
            )

        await until(named)


async def test_a_killed_gateway_leaves_the_other_ones_connections_alone(clusterset: Bed) -> None:
    async with calling(clusterset, "no-gateway") as hello:
        before = await at_rest(lambda: state(hello))
        count = restarts(clusterset, "west", "gateway")
        survivor, victim = pods(clusterset, "west", "gateway")
        [piece] = await hello.slices("west", source="east")
        assert piece.ports is not None and piece.ports[0].port
        through = f"{survivor['status']['podIP']}:{piece.ports[0].port}"
        loop = f"for i in $(seq 30); do curl -sS --max-time 5 http://{through} || echo failed; done"
        process = hello.asking("west", loop)
        kill(victim)
        answers = (await asyncio.to_thread(process.communicate, timeout=240))[0].splitlines()
        assert "failed" not in answers and len(answers) == 30, answers
        await until_back(clusterset, "west", "gateway", restarts=count + 1)
        await until_again(lambda: state(hello), before)
        assert "failed" not in hello.calls("west", 10)
