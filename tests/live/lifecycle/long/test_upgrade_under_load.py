"""Another version of the programs, one cluster after another and back, while both call each other.

`meshctl join` of each version is what upgrades and goes back: kinds, rights, programs. In between the two
clusters are of two versions, both ways round. What lives longer than a gateway drains (25 s) is broken
once for each gateway on its way that is replaced.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from live.lifecycle.long.older import Older, older
from live.lifecycle.long.upgrade_scene import (
    Caller,
    answered,
    calling,
    gateways,
    held,
    services,
    serving,
)
from live.lifecycle.pair import CLUSTERS, HOME, Pair
from live.placement_story.calls import Phase, table
from mesh_cli.install.rollout import PROGRAMS
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.waiting import until_found

pytestmark = pytest.mark.asyncio

QUIET = 10.0
"""Seconds of calls after a step: what follows late belongs to it."""


async def joined_by_the_older(pair: Pair, before: Older, trust: Path) -> None:
    before.meshctl("trust", "init", "--dir", str(trust))
    for cluster in CLUSTERS:
        await asyncio.to_thread(before.meshctl, *join_words(pair, cluster, before.image, trust))
    config = ("--kubeconfig", str(pair.bed.kubeconfig))
    before.meshctl(*config, "link", *CLUSTERS)
    await exported(pair)


def join_words(pair: Pair, cluster: str, image: str, trust: Path) -> tuple[str, ...]:
    return (
        *("--kubeconfig", str(pair.bed.kubeconfig), "join", "--context", cluster, "--cluster-id", cluster),
        *("--trust", str(trust), "--image", image, "--service-type", "nodeport"),
    )


async def all_answered(callers: list[Caller], *, limit: float) -> None:
    since = time.monotonic()

    async def are() -> bool:
        return all(answered(one, since=since, count=20) for one in callers)

    await until_found(are, limit=limit)


async def stepped(
    name: str, callers: list[Caller], do: Callable[[], object], *, pair: Pair, cluster: str, image: str
) -> list[Phase]:
    """Do it, wait until no gateway of before is left and a while longer, and count."""
    begun = time.monotonic()
    await asyncio.to_thread(do)
    took = time.monotonic() - begun

    async def only_the_new() -> bool:
        found = await asyncio.to_thread(gateways, pair, cluster)
        return {one["spec"]["containers"][0]["image"] for one in found} == {image}

    await until_found(only_the_new, limit=90)
    print(
        f"{name}: join {took:.1f} s, the last gateway of before gone after {time.monotonic() - begun:.1f} s"
    )
    await asyncio.sleep(QUIET)
    # What began in the last seconds may still be under way.
    ended = time.monotonic()
    await asyncio.sleep(6)
    return [one.phase(name, begun=begun, ended=ended) for one in callers]


async def test_calls_go_on_while_one_cluster_after_another_is_upgraded_and_one_goes_back(
    pair: Pair, tmp_path: Path
) -> None:
    """A connection that lives on is broken when the last gateway of before on its way has drained."""
    before = await asyncio.to_thread(older, tmp_path / "older", bed=pair.bed)
    assert before.image != pair.program
    trust = tmp_path / "trust"
    with exports_gone(pair), serving(pair):
        await joined_by_the_older(pair, before, trust)
        with calling(pair, tmp_path) as callers:
            await all_answered(callers, limit=120)
            phases = await upgraded_and_back(pair, before, trust=trust, callers=callers)
    print(table(phases))
    assert sum(one.made for one in phases) > 1000
    assert [one for one in phases if "stream" not in one.name and (one.failed or one.gap > 2)] == []
    # Two gateways here and two there, of which one cluster's are replaced in each step.
    assert [one for one in phases if "stream" in one.name and one.failed > 2] == []


async def test_no_call_fails_while_all_programs_of_a_cluster_are_replaced(pair: Pair, tmp_path: Path) -> None:
    """A defect: lookups through cluster DNS went on to pods of mesh-dns that had ended."""
    trust = tmp_path / "trust"
    with exports_gone(pair), serving(pair):
        for cluster in CLUSTERS:
            await asyncio.to_thread(pair.join, cluster, trust=trust)
        pair.meshctl("link", *CLUSTERS)
        await exported(pair)
        with calling(pair, tmp_path) as callers:
            await all_answered(callers, limit=120)
            begun = time.monotonic()
            await asyncio.to_thread(replaced, pair, "east")
            await asyncio.sleep(QUIET)
            ended = time.monotonic()
            await asyncio.sleep(6)
            phases = [one.phase("east replaced", begun=begun, ended=ended) for one in callers]
    print(table(phases))
    calls = [one for one in phases if "stream" not in one.name]
    assert sum(one.made for one in calls) > 500
    assert [one for one in calls if one.failed] == []


def replaced(pair: Pair, cluster: str) -> None:
    """All pods of ours, one after another in each Deployment, and all Deployments at a time, as by `join`."""
    programs = [f"deploy/{name}" for name in PROGRAMS]
    pair.bed.kubectl(cluster, "-n", SYSTEM_NAMESPACE, "rollout", "restart", *programs)
    for program in programs:
        wait = ("rollout", "status", program, "--timeout=240s")
        pair.bed.kubectl(cluster, "-n", SYSTEM_NAMESPACE, *wait)


async def exported(pair: Pair) -> None:
    for cluster in CLUSTERS:
        for manifest in services(cluster):
            await pair.hello.kube(cluster).apply_manifest(manifest, field_manager="live-test")


@contextmanager
def exports_gone(pair: Pair) -> Iterator[None]:
    """The Services of this test go; their exports go with all others."""
    try:
        yield
    finally:
        for cluster in CLUSTERS:
            names = [one["metadata"]["name"] for one in services(cluster) if one["kind"] == "Service"]
            pair.bed.kubectl(cluster, "-n", HOME, "delete", "services", *names, "--ignore-not-found")


async def upgraded_and_back(pair: Pair, before: Older, *, trust: Path, callers: list[Caller]) -> list[Phase]:
    def new(cluster: str) -> Callable[[], object]:
        return lambda: pair.bed.done(*join_words(pair, cluster, pair.program, trust))

    def old(cluster: str) -> Callable[[], object]:
        return lambda: before.meshctl(*join_words(pair, cluster, before.image, trust))

    objects = {cluster: held(pair, cluster) for cluster in CLUSTERS}
    phases = []
    for name, cluster, do, image in (
        ("east upgraded", "east", new("east"), pair.program),
        ("west upgraded", "west", new("west"), pair.program),
        ("east back", "east", old("east"), before.image),
    ):
        phases += await stepped(name, callers, do, pair=pair, cluster=cluster, image=image)
        # The imports, their Services and slices are the same objects with the same addresses.
        for one in CLUSTERS:
            now = held(pair, one)
            print(f"{name}, {one}: {json.dumps(sorted(objects[one].keys() ^ now.keys()))}")
            assert {key: now.get(key) for key in objects[one]} == objects[one]
    return phases
