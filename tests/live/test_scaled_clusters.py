"""A real cluster gets another number of nodes while it runs."""

import asyncio
import json
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from mesh_fakes.bed import Bed, started
from mesh_fakes.waiting import until_found
from mesh_local.dns_probe import dns_answers
from mesh_local.names import names_of

pytestmark = pytest.mark.asyncio


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Bed]:
    with started(tmp_path / "set", "--clusters", "one") as bed:
        yield bed


def scaled(bed: Bed, count: int) -> None:
    bed.done("local", "scale", "--nodes", str(count), "--dir", str(bed.folder))


def nodes(bed: Bed) -> list[str]:
    return bed.kubectl("one", "get", "nodes", "-o", "name").split()


def pods(bed: Bed) -> dict[str, str]:
    """The addresses of the ready DNS pods, by node."""
    listed: dict[str, Any] = json.loads(bed.kubectl("one", "-n", "kube-system", "get", "pods", "-o", "json"))
    return {
        pod["spec"]["nodeName"]: pod["status"]["podIP"]
        for pod in listed["items"]
        if all(one["ready"] for one in pod["status"].get("containerStatuses", [{"ready": False}]))
        and "deletionTimestamp" not in pod["metadata"]
    }


async def test_a_cluster_grows_and_shrinks_while_it_runs(one: Bed) -> None:
    scaled(one, 2)
    assert nodes(one) == ["node/one", "node/one-2"]
    one.kubectl("one", "cordon", "one")
    one.kubectl("one", "-n", "kube-system", "scale", "deployment/coredns", "--replicas=2")

    async def is_on_both() -> bool:
        return set(pods(one)) == {"one", "one-2"}

    await until_found(is_on_both, limit=120)
    # The first node was there before the second: it has a route to its pods all the same.
    first = names_of(one.folder.resolve()).namespace("one")

    async def answers_there() -> bool:
        return await asyncio.to_thread(dns_answers, IPv4Address(pods(one)["one-2"]), network=first)

    await until_found(answers_there)
    one.kubectl("one", "uncordon", "one")

    scaled(one, 1)
    assert nodes(one) == ["node/one"]
    one.kubectl("one", "-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=240s")

    async def is_on_the_first() -> bool:
        return set(pods(one)) == {"one"}

    await until_found(is_on_the_first, limit=120)
    assert not names_of(one.folder.resolve()).namespace("one-2").exists()
    assert not (one.folder / "one" / "node-2").exists()
    # Known as what it is now: nothing is brought back.
    assert "up already" in one.done("local", "up", "--clusters", "one", "--dir", str(one.folder))

    scaled(one, 2)
    assert nodes(one) == ["node/one", "node/one-2"]
    refused = one.meshctl("local", "scale", "--nodes", "9", "--dir", str(one.folder))
    assert refused.returncode != 0 and "cannot have 9 nodes" in refused.stderr
