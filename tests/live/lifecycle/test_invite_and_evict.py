"""`meshctl invite`, `accept` and `trust evict` on two real clusters, which have nothing in common before."""

import subprocess
import time
from pathlib import Path

import pytest

from live.gateway_view import pages, total
from live.lifecycle.pair import Pair
from mesh_core.join_wire import JoinCode
from mesh_core.objects import MeshPeer
from mesh_fakes.snapshot import Difference
from mesh_fakes.waiting import until_found
from mesh_runtime.kube import MESH_PEERS

pytestmark = pytest.mark.asyncio

ENDS = 120.0
"""Seconds that a stream may run on after an eviction; it is cut in one or less."""


def invited(pair: Pair, *words: str) -> str:
    """The token."""
    return pair.meshctl("invite", "--context", "east", "--timeout", "120", *words).strip()


def accepting(token: str) -> tuple[str, ...]:
    return "accept", token, "--context", "west", "--cluster-id", "west"


def refused(pair: Pair, token: str) -> str:
    """What `accept` says, which must fail."""
    began = time.monotonic()
    ended = pair.tried(*accepting(token), *pair.programs)
    error = ended.stderr.splitlines()[-1]
    print(f"refused after {time.monotonic() - began:.1f} s: {error}")
    assert ended.returncode != 0, ended.stdout
    return error


async def test_a_token_is_good_once_its_cluster_comes_in_again_under_its_id_and_an_eviction_ends_its_streams(
    pair: Pair, tmp_path: Path
) -> None:
    trust = tmp_path / "trust"
    pair.join("east", trust=trust)
    first = invited(pair, "--trust", str(trust))
    pair.meshctl(*accepting(first), *pair.programs)
    await pair.hello.export("east")
    await pair.answers_from("west", source="east")
    met = await pair.hello.east.get(MESH_PEERS, "west")

    # West is uninstalled, and east hears nothing of it.
    pair.timed("uninstall", "--force", "--context", "west", "--timeout", "240")
    assert await pair.left("west") == Difference()
    second = invited(pair)
    # This one installs the programs before they can ask.
    assert JoinCode.INVITATION_USED.value in refused(pair, first)
    said = refused(pair, second)
    assert JoinCode.CLUSTER_ID_TAKEN.value in said
    assert "meshctl peer remove west" in said

    pair.timed("peer", "remove", "west", "--context", "east", "--timeout", "120")
    pair.meshctl(*accepting(second), *pair.programs)
    await pair.answers_from("west", source="east")
    again = await pair.hello.east.get(MESH_PEERS, "west")
    assert again.spec.pool == met.spec.pool == "by-east"
    assert again.spec.key != met.spec.key, "its first key went with the first installation"
    await evicted_while_a_stream_runs(pair, again, trust=trust)


async def evicted_while_a_stream_runs(pair: Pair, west: MeshPeer, *, trust: Path) -> None:
    stream = running_stream(pair)

    async def is_carried() -> bool:
        seen = await pages(pair.bed, pair.hello.east, cluster="east")
        return total(seen, "streams_active", peer="west", direction="from_peer") > 0

    await until_found(is_carried)
    assert stream.poll() is None, "it runs until somebody ends it"

    # No roster has a member that was let in by a token: its key is named. Only east is told.
    key = ("--key", west.spec.key)
    pair.meshctl(
        "trust", "evict", "west", *key, "--trust", str(trust), "--context", "east", "--why", "a test"
    )
    ended = time.monotonic()
    stream.communicate(timeout=ENDS)
    took = time.monotonic() - ended

    async def is_refused() -> bool:
        return pair.hello.calls("west", 1) == ["failed"]

    # The stream was one worker's; the others read of the eviction a moment sooner or later.
    await until_found(is_refused, limit=ENDS)
    print(f"the stream ended {took:.2f} s after the command, a call failed {time.monotonic() - ended:.2f} s")


def running_stream(pair: Pair) -> subprocess.Popen[str]:
    """A request from west to east whose headers do not end: a line of it every tenth of a second."""
    lines = "printf 'GET / HTTP/1.1\\r\\n'; while echo more; do sleep 0.1; done"
    return pair.hello.asking("west", f"{{ {lines}; }} | socat - TCP:{pair.hello.host}:80")
