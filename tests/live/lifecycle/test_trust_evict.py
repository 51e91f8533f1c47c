"""`meshctl trust evict` on two real clusters while a stream runs; and uninstalling beside a dead cluster."""

import subprocess
import time
from pathlib import Path

import pytest

from live.gateway_view import pages, total
from live.lifecycle.pair import Pair, until
from mesh_fakes.snapshot import Difference

pytestmark = pytest.mark.asyncio

WITHIN = 5.0
"""Seconds from the end of the command to the end of a stream; the next call is refused."""


def running_stream(pair: Pair) -> subprocess.Popen[str]:
    """A request from west to east whose headers do not end: a line of it every tenth of a second."""
    lines = "printf 'GET / HTTP/1.1\\r\\n'; while echo more; do sleep 0.1; done"
    return pair.hello.asking("west", f"{{ {lines}; }} | socat - TCP:{pair.hello.host}:80")


async def test_an_eviction_ends_a_running_stream_within_seconds_and_new_calls_are_refused(
    pair: Pair, tmp_path: Path
) -> None:
    trust = tmp_path / "trust"
    for cluster in ("east", "west"):
        pair.join(cluster, trust=trust)
    pair.meshctl("link", "east", "west")
    await pair.hello.export("east")
    await pair.answers_from("west", source="east")
    stream = running_stream(pair)

    async def is_carried() -> bool:
        seen = await pages(pair.bed, pair.hello.east, cluster="east")
        return total(seen, "streams_active", peer="west", direction="from_peer") > 0

    await until(is_carried)
    assert stream.poll() is None, "it runs until somebody ends it"

    # Only east is told.
    pair.meshctl("trust", "evict", "west", "--trust", str(trust), "--context", "east", "--why", "a test")
    ended = time.monotonic()
    stream.communicate(timeout=30)
    took = time.monotonic() - ended
    assert pair.hello.calls("west", 1) == ["failed"]
    print(f"the stream ended {took:.2f} s after the command, a call failed {time.monotonic() - ended:.2f} s")
    assert took < WITHIN

    pair.kill_member("west")
    pair.timed("uninstall", "--force", "--context", "east")
    await pair.unexport("east")
    pair.timed("uninstall", "--context", "east")
    assert await pair.left("east") == Difference()
