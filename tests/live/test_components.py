"""The components of manifests/components on a real cluster: admitted, running, and taken back."""

import json

import pytest

from live.hello import Hello, hello_in
from mesh_fakes.bed import Bed
from mesh_fakes.waiting import until

pytestmark = pytest.mark.asyncio

PROGRAMS = ("controller", "gateway", "dns")


def join(bed: Bed, *more: str) -> None:
    words = ("--context", "east", "--cluster-id", "east", "--trust", str(bed.trust))
    image = bed.load("program")
    bed.done("--kubeconfig", str(bed.kubeconfig), "join", *words, "--image", image, *more)


def running(bed: Bed) -> dict[str, int]:
    text = bed.kubectl("east", "-n", "meshctl-system", "get", "deployments", "-o", "json")
    found = {
        one["metadata"]["name"]: one["status"].get("readyReplicas", 0) for one in json.loads(text)["items"]
    }
    return {name: found[f"meshctl-{name}"] for name in PROGRAMS}


def answering(hello: Hello) -> list[str]:
    """The cluster of each answer ("hello from east, pod ..."); what failed is none."""
    return [line.partition(",")[0].removeprefix("hello from ") for line in hello.calls("west", 3)]


def pods(bed: Bed) -> list[str]:
    return bed.kubectl("east", "-n", "meshctl-system", "get", "pods", "-o", "name").split()


async def test_what_components_change_runs_and_carries_calls_and_is_taken_back(clusterset: Bed) -> None:
    bed = clusterset
    async with hello_in(bed, "components") as hello:
        await hello.deploy("east")
        await hello.export("east")
        await hello.deploy_client("west")
        try:
            join(bed, "--with", "high-availability", "--with", "network-policy")
            await until(lambda: running(bed) == dict.fromkeys(PROGRAMS, 3), limit=120.0)
            join(bed)
            await until(lambda: running(bed) == dict.fromkeys(PROGRAMS, 3), limit=120.0)
            policies = bed.kubectl(
                "east", "-n", "meshctl-system", "get", "networkpolicies", "-o", "name"
            ).split()
            assert sorted(policies) == [
                f"networkpolicy.networking.k8s.io/meshctl-{name}" for name in sorted(PROGRAMS)
            ]
            await until(lambda: set(answering(hello)) == {"east"}, limit=120.0)
        finally:
            join(bed, "--without", "high-availability", "--without", "network-policy")
        await until(lambda: running(bed) == dict.fromkeys(PROGRAMS, 2), limit=120.0)
        assert bed.kubectl("east", "-n", "meshctl-system", "get", "networkpolicies", "-o", "name") == ""
        await until(lambda: set(answering(hello)) == {"east"}, limit=120.0)
        # Those that went are gone, too, for whoever reads the logs of what is there.
        await until(lambda: len(pods(bed)) == 2 * len(PROGRAMS), limit=120.0)
