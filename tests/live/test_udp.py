"""UDP between two real clusters on networks of their own: from a pod through kube-proxy and the gateways."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import pytest

from live.hello import FIELD_MANAGER, Hello, hello_in
from live.test_first_call import until
from live.test_one_part_down import kill_all, pods, until_back
from mesh_fakes.bed import Bed
from mesh_local.names import CLIENT_IMAGE
from mesh_runtime.kube import SERVICE_EXPORTS

pytestmark = pytest.mark.asyncio

# It says who it is, from which address it was asked, and what was said.
_SERVE = """
trap 'kill 0' TERM INT
socat UDP-RECVFROM:8080,fork 'SYSTEM:read said; echo "$POD $SOCAT_PEERADDR $said"' &
wait
"""


def _server(name: str) -> list[dict[str, Any]]:
    """A program that answers datagrams on port 42 of Service `name`."""
    labels = {"app": name}
    pod = {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    container = {
        "name": "main",
        "image": f"{CLIENT_IMAGE}:{version('clusterset-mesh')}",
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", _SERVE],
        "env": [pod],
    }
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    port = {"name": "talk", "port": 42, "protocol": "UDP", "targetPort": 8080}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [port]},
        },
        {
            "apiVersion": "multicluster.x-k8s.io/v1beta1",
            "kind": "ServiceExport",
            "metadata": {"name": name},
        },
    ]


@asynccontextmanager
async def talking(bed: Bed, namespace: str) -> AsyncIterator[Hello]:
    """`talk` exported from east, and a client in west whose first datagrams were answered."""
    async with hello_in(bed, namespace) as hello:
        await hello.deploy_client("west")
        for manifest in _server("talk"):
            manifest["metadata"]["namespace"] = namespace
            await hello.east.apply_manifest(manifest, field_manager=FIELD_MANAGER)
        await until(lambda: soon(lambda: said(hello, "hello") != []), limit=120)
        yield hello


async def soon(look: Callable[[], bool]) -> bool:
    """What `look` finds, without holding up the loop."""
    return await asyncio.to_thread(look)


def said(hello: Hello, text: str, *, count: int = 1, port: int = 0) -> list[list[str]]:
    """The words of the answers to `count` datagrams, from one port of the client's or from any."""
    here = f",sourceport={port},reuseaddr" if port else ""
    host = f"talk.{hello.namespace}.svc.clusterset.local"
    ask = f"echo {text} | socat -t 1 -T 1 - UDP4:{host}:42{here} 2>/dev/null"
    answers = hello.ask("west", f"for i in $(seq {count}); do {ask} || true; done")
    return [line.split() for line in answers.splitlines() if line]


async def heard(hello: Hello, text: str, *, count: int = 1, port: int = 0) -> list[list[str]]:
    """So many answers, however many datagrams or answers are lost or late on the way."""
    found: list[list[str]] = []

    async def all_of_them() -> bool:
        found.extend(await asyncio.to_thread(said, hello, text, count=count - len(found), port=port))
        return len(found) >= count

    await until(all_of_them, limit=180)
    return found


async def test_a_datagram_is_answered_across_networks_and_the_export_says_nothing_against_it(
    clusterset: Bed,
) -> None:
    async with talking(clusterset, "udp-first") as hello:
        [[pod, asked_by, text]] = await heard(hello, "hello")
        assert pod.startswith("talk-") and text == "hello"
        gateways = {pod["status"]["podIP"] for pod in pods(clusterset, "east", "gateway")}
        assert asked_by in gateways, "the program sees the gateway that brings the datagram"
        found = await hello.east.get(SERVICE_EXPORTS, "talk", namespace=hello.namespace)
        [ready] = [one for one in found.status.conditions if one.type == "Ready"]
        assert (ready.status, ready.message) == ("True", "exported to every member of the clusterset")


async def test_one_client_socket_keeps_its_pod_and_several_sockets_find_all(clusterset: Bed) -> None:
    async with talking(clusterset, "udp-flows") as hello:
        same = await heard(hello, "again", count=6, port=40404)
        assert len({pod for pod, _, _ in same}) == 1, "one flow, one endpoint"
        seen: set[str] = set()

        async def all_seen() -> bool:
            seen.update(words[0] for words in await asyncio.to_thread(said, hello, "other", count=4))
            return len(seen) == 2

        await until(all_seen, limit=120)


async def test_after_a_gateways_death_the_same_socket_is_answered_again_ruling_30(clusterset: Bed) -> None:
    async with talking(clusterset, "udp-killed") as hello:
        for cluster in ("west", "east"):
            await heard(hello, "before", port=40405)
            count = kill_all(clusterset, cluster, "gateway")
            await until_back(clusterset, cluster, "gateway", restarts=count)
            await heard(hello, "after", port=40405)
