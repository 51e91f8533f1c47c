"""Evicting, leaving and uninstalling on two real clusters: nothing is left, by everything that there is."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from live.hello import Hello
from mesh_core.leaving import left_sentence
from mesh_fakes.bed import Bed, started
from mesh_fakes.snapshot import Difference, Snapshot, snapshot
from mesh_runtime.kube import MESH_PEERS, NAMESPACES, SERVICE_IMPORTS, KubeClient

pytestmark = pytest.mark.asyncio

HOME = "leaving"
LIMIT = 30.0
"""Seconds that each of the three may take."""
CALLING = 18
"""Seconds that a client calls while a cluster leaves and after it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """east and west, and what was in them before they joined."""

    bed: Bed
    hello: Hello
    before: dict[str, Snapshot]

    def meshctl(self, *words: str) -> str:
        """Run a verb, which must succeed."""
        return self.bed.done("--kubeconfig", str(self.bed.kubeconfig), *words)

    def timed(self, *words: str) -> str:
        """What a command says that must end in time."""
        start = time.monotonic()
        said = self.meshctl(*words)
        took = time.monotonic() - start
        print(f"meshctl {' '.join(words)}: {took:.1f} s")
        assert took < LIMIT
        return said

    async def left(self, cluster: str, *, of: Snapshot, limit: float = 10) -> Difference:
        """What is otherwise than in `of`, when that is nothing or time is up.

        The API server itself takes a moment to forget a group that is served no more.
        """
        kube = self.hello.kube(cluster)
        end = time.monotonic() + limit
        while True:
            found = (await snapshot(kube)).since(of)
            if found == Difference() or time.monotonic() > end:
                return found
            await asyncio.sleep(0.3)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """Two clusters of its own, because they leave."""
    with started(tmp_path_factory.mktemp("leaving"), "--clusters", "east,west") as bed:
        yield bed


@asynccontextmanager
async def joined_pair(bed: Bed) -> AsyncIterator[Pair]:
    """Joined and linked; `hello` is exported by both, `sole` by west alone."""
    async with bed.client("east") as east, bed.client("west") as west:
        hello = Hello(bed, HOME, east, west)
        program = bed.load("program")
        bed.load("client")
        before = {name: await snapshot(hello.kube(name)) for name in ("east", "west")}
        pair = Pair(bed, hello, before)
        for cluster in ("east", "west"):
            await hello.kube(cluster).create(NAMESPACES, {"metadata": {"name": HOME}})
        joining = asyncio.create_task(asyncio.to_thread(join_and_link, pair, program=program))
        # Meanwhile the pods start, which ask for nothing of ours.
        await asyncio.gather(hello.deploy("east"), hello.deploy("west"), hello.deploy_client("east"))
        await joining
        for cluster in ("east", "west"):
            await hello.export(cluster)
        yield pair


def join_and_link(pair: Pair, *, program: str) -> None:
    pair.bed.done("trust", "init", "--dir", str(pair.bed.trust))
    for cluster in ("east", "west"):
        words = ("--cluster-id", cluster, "--trust", str(pair.bed.trust), "--image", program)
        pair.meshctl("join", "--context", cluster, *words, "--service-type", "nodeport")
    pair.meshctl("link", "east", "west")


def api_server_of(bed: Bed, cluster: str) -> int:
    """The process id of a cluster's API server."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            place = str(bed.folder / cluster).encode()
            if b"kube-apiserver" in words and any(place in word for word in words):
                return int(entry.name)
    raise AssertionError(f"no API server of {cluster}")


async def until(condition: Callable[[], Awaitable[bool]], *, limit: float = 20.0) -> None:
    async with asyncio.timeout(limit):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.05)


async def sources(kube: KubeClient) -> set[str]:
    """The clusters that stand behind the import of `hello`."""
    found = await kube.find(SERVICE_IMPORTS, "hello", namespace=HOME)
    return {entry.cluster for entry in found.status.clusters} if found is not None else set()


async def both_in_east(pair: Pair) -> bool:
    return await sources(pair.hello.east) == {"east", "west"}


async def test_members_that_are_evicted_leave_or_are_uninstalled_leave_nothing_behind(fresh: Bed) -> None:
    async with joined_pair(fresh) as pair:
        await until(lambda: both_in_east(pair))
        await evicted_while_its_api_server_is_dead(pair)
        await left_in_order(pair)
        await uninstalled(pair)


async def evicted_while_its_api_server_is_dead(pair: Pair) -> None:
    os.kill(api_server_of(pair.bed, "west"), signal.SIGKILL)
    said = pair.timed("peer", "evict", "west", "--context", "east", "--why", "a test")
    assert f"{HOME}/hello: stays, exported by east" in said
    assert await sources(pair.hello.east) == {"east"}
    east = pair.hello.east
    assert await east.find(MESH_PEERS, "west") is None
    after = (await snapshot(east)).since(pair.before["east"])
    assert not [key for key in (*after.new, *after.changed) if "west" in key], after
    pair.meshctl("peer", "evict", "west", "--context", "east")
    refused = pair.bed.meshctl("--kubeconfig", str(pair.bed.kubeconfig), "peer", "remove", "west")
    assert (await snapshot(east)).since(pair.before["east"]) == after, refused
    # It comes back.
    pair.bed.done("local", "up", "--clusters", "east,west", "--dir", str(pair.bed.folder))
    again = pair.bed.meshctl("--kubeconfig", str(pair.bed.kubeconfig), "link", "east", "west")
    assert again.returncode == 1
    assert "west was evicted from east" in again.stderr
    pair.meshctl("peer", "evict", "--readmit", "west", "--context", "east")
    pair.meshctl("link", "east", "west")
    await until(lambda: both_in_east(pair))


async def left_in_order(pair: Pair) -> None:
    hello = pair.hello
    call = f"sleep 0.1; curl -sS --max-time 5 http://{hello.host} || echo failed"
    calling = hello.asking(
        "east", f"end=$(($(date +%s) + {CALLING})); while [ $(date +%s) -lt $end ]; do {call}; done"
    )
    said = pair.timed("leave", "--context", "west")
    assert "acknowledged by east" in said
    assert await sources(hello.east) == {"east"}
    peer = await hello.east.get(MESH_PEERS, "west")
    shown = next(one for one in peer.status.conditions if one.type == "Connected")
    since = shown.message.split(" on ")[1].split(";")[0]
    assert (shown.reason, shown.message) == ("Left", left_sentence("west", since=since))
    kept = "customresourcedefinitions.apiextensions.k8s.io serviceexports.multicluster.x-k8s.io"
    of = pair.before["west"]
    left = (await pair.left("west", of=of, limit=3)).without(HOME)
    assert left.gone == left.changed == ()
    assert [key for key in left.new if "meshctl" in key] == []
    assert kept in left.new, "an export of somebody's is in it"
    assert "nothing of ours" in pair.timed("leave", "--context", "west")
    pair.timed("peer", "remove", "west", "--context", "east")
    answers = calling.communicate()[0].splitlines()
    print(f"{len(answers)} calls while west left, {answers.count('failed')} failed")
    assert answers
    assert "failed" not in answers


async def uninstalled(pair: Pair) -> None:
    refused = pair.bed.meshctl("--kubeconfig", str(pair.bed.kubeconfig), "uninstall", "--context", "east")
    assert f"exports {HOME}/hello" in refused.stderr
    clusters = ("east", "west")
    # Whose exports they are takes them away, and then their kind can go too.
    for cluster in clusters:
        await pair.hello.kube(cluster).delete(NAMESPACES, HOME)
    for cluster in clusters:
        await until(partial(gone, pair.hello.kube(cluster)), limit=60)
        pair.timed("uninstall", "--context", cluster)
        assert await pair.left(cluster, of=pair.before[cluster]) == Difference()
    assert "nothing of ours" in pair.timed("uninstall", "--context", "east")


async def gone(kube: KubeClient) -> bool:
    return await kube.find(NAMESPACES, HOME) is None
