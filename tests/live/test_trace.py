"""`meshctl trace` on two real clusters: whichever part of a call's way is broken, it names that hop."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from live.hello import Hello
from live.test_dns_query import corefile
from live.test_first_call import answered, until
from live.test_one_part_down import calling
from mesh_core.names import GATEWAY, SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_runtime.kube import SERVICE_PROBES

pytestmark = pytest.mark.asyncio

# A trace, as JSON.
Traced = dict[str, Any]
LIMIT = 180.0
"""Seconds until what was broken is seen by all of whom trace asks."""


def traced(bed: Bed, hello: Hello, *more: str) -> tuple[int, Traced]:
    words = ("trace", f"hello.{hello.namespace}", "--from-context", "west", "-o", "json", *more)
    done = bed.meshctl("--kubeconfig", str(bed.kubeconfig), *words)
    assert done.stdout, done.stderr
    seen: Traced = json.loads(done.stdout)
    assert done.returncode == (seen["line"] != "every hop works")
    return done.returncode, seen


def states(seen: Traced) -> dict[str, str]:
    return {hop["title"]: hop["state"] for hop in seen["hops"]}


async def until_failing(
    hello: Hello, title: str, *more: str, holds: Callable[[Traced], bool] = lambda _seen: True
) -> Traced:
    """The trace, as soon as it names that hop and the rest holds: parts go one after another."""
    seen: Traced = {}
    began = time.monotonic()
    while time.monotonic() - began < LIMIT:
        _, seen = await asyncio.to_thread(traced, hello.bed, hello, *more)
        failing = seen["failing"]
        if failing is not None and seen["hops"][failing - 1]["title"] == title and holds(seen):
            print(f"{title}: {seen['line']}")
            return seen
    pytest.fail(f"it never names {title}; at last {json.dumps(seen, indent=2)}")


async def until_well(hello: Hello, *more: str) -> Traced:
    seen: Traced = {}
    began = time.monotonic()
    while time.monotonic() - began < LIMIT:
        status, seen = await asyncio.to_thread(traced, hello.bed, hello, "--context", "east", *more)
        if status == 0:
            return seen
    pytest.fail(f"it never works; at last {json.dumps(seen, indent=2)}")


def scale(bed: Bed, cluster: str, namespace: str, name: str, *, to: int) -> None:
    bed.kubectl(cluster, "-n", namespace, "scale", f"deploy/{name}", f"--replicas={to}")


@asynccontextmanager
async def without_gateways(bed: Bed, cluster: str) -> AsyncIterator[None]:
    scale(bed, cluster, SYSTEM_NAMESPACE, GATEWAY, to=0)
    try:
        yield
    finally:
        scale(bed, cluster, SYSTEM_NAMESPACE, GATEWAY, to=2)
        wait = ("rollout", "status", f"deploy/{GATEWAY}", "--timeout=240s")
        bed.kubectl(cluster, "-n", SYSTEM_NAMESPACE, *wait)


async def test_a_trace_names_the_hop_that_is_broken(clusterset: Bed) -> None:
    async with calling(clusterset, "traced") as hello:
        # Nothing is broken: every hop was looked at, and a pod of one's own may call.
        seen = await until_well(hello)
        titles = [
            "name",
            "import",
            "slices",
            "egress gateway",
            "tunnel",
            "ingress gateway",
            "endpoints",
            "call",
        ]
        assert [hop["title"] for hop in seen["hops"]] == titles
        assert all(hop["objects"][0]["name"] for hop in seen["hops"][:-1])
        pods = ("get", "pods", "-l", "app=client", "-o", "jsonpath={.items[0].metadata.name}")
        pod = clusterset.kubectl("west", "-n", hello.namespace, *pods)
        own = await until_well(hello, "--from", pod, "-n", hello.namespace)
        assert own["hops"][-1]["probe"] == f"from {hello.namespace}/{pod}"
        assert not (await hello.west.list(SERVICE_PROBES, namespace=SYSTEM_NAMESPACE)).items

        # The backend is dead: slices only follow.
        scale(clusterset, "east", hello.namespace, "hello", to=0)
        seen = await until_failing(hello, "endpoints", "--context", "east")
        assert states(seen)["slices"] in ("follows", "ok")
        await until_failing(hello, "endpoints", holds=lambda seen: not seen["goes"])
        scale(clusterset, "east", hello.namespace, "hello", to=2)
        await until_well(hello)

        # Nobody exports it.
        clusterset.done(
            *(
                "--kubeconfig",
                str(clusterset.kubeconfig),
                "unexport",
                "hello",
                "-n",
                hello.namespace,
                "--timeout",
                "90",
            ),
            *("--context", "east"),
        )
        seen = await until_failing(
            hello,
            "import",
            *("--context", "east"),
            holds=lambda seen: "east has no ServiceExport" in seen["line"],
        )
        assert f"meshctl export hello -n {hello.namespace} --context east" in seen["line"]
        await hello.export("east")
        await until_well(hello)

        # Cluster DNS does not know the zone.
        async with corefile(hello.west, _without_zone):
            await until_failing(
                hello,
                "name",
                *("--context", "east"),
                holds=lambda seen: (states(seen)["tunnel"], seen["goes"]) == ("ok", False),
            )
        await until_well(hello)


async def test_a_trace_tells_our_gateways_from_those_of_the_peer(clusterset: Bed) -> None:
    async with calling(clusterset, "traced-gateways") as hello:
        async with without_gateways(clusterset, "west"):
            west = "egress gateway", "--context", "east"
            await until_failing(hello, *west, holds=lambda seen: "0 of" in seen["line"])
        await until_well(hello)
        async with without_gateways(clusterset, "east"):
            seen = await until_failing(hello, "ingress gateway", "--context", "east")
            # Gateways that drain keep their tunnels for a while.
            assert states(seen)["tunnel"] in ("follows", "ok")
            seen = await until_failing(hello, "tunnel")
            assert "look whether the peer's gateways run" in seen["line"]
        await until_well(hello)
        await until(lambda: answered(hello, "west"))


def _without_zone(text: str) -> str:
    """The Corefile without our marked block."""
    return text.replace("clusterset.local", "clusterset.invalid")
