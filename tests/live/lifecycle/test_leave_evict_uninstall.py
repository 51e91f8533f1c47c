"""Evicting, leaving and uninstalling on two real clusters: nothing is left, by everything that there is."""

from pathlib import Path

import pytest

from live.at_rest import at_rest
from live.lifecycle.pair import HOME, Pair
from mesh_core.leaving import left_sentence
from mesh_fakes.snapshot import Difference, snapshot
from mesh_fakes.waiting import until_found
from mesh_runtime.kube import MESH_PEERS

pytestmark = pytest.mark.asyncio

LONG = ("--timeout", "240")
"""For what a busy machine does late: it is gone as soon as it is."""
CALLING = 18
"""Seconds that a client calls while a cluster leaves and after it."""


async def both_in_east(pair: Pair) -> bool:
    return await pair.sources("east") == {"east", "west"}


async def only_east_in_east(pair: Pair) -> bool:
    return await pair.sources("east") == {"east"}


async def test_members_that_are_evicted_leave_or_are_uninstalled_leave_nothing_behind(
    pair: Pair, tmp_path: Path
) -> None:
    for cluster in ("east", "west"):
        pair.join(cluster, trust=tmp_path / "trust")
    pair.meshctl("link", "east", "west", "--timeout", "240")
    for cluster in ("east", "west"):
        await pair.hello.export(cluster)
    await until_found(lambda: both_in_east(pair))
    await evicted_while_its_api_server_is_dead(pair)
    await left_in_order(pair)
    await uninstalled(pair)


async def evicted_while_its_api_server_is_dead(pair: Pair) -> None:
    pair.kill_api_server("west")
    said = pair.timed("peer", "evict", "west", "--context", "east", "--why", "a test", *LONG)
    assert f"{HOME}/hello: stays, exported by east" in said
    await until_found(lambda: only_east_in_east(pair))
    east = pair.hello.east
    assert await east.find(MESH_PEERS, "west") is None

    async def changed() -> Difference:
        return (await snapshot(east)).since(pair.before["east"])

    async def nothing_of_west() -> bool:
        found = await changed()
        return not [key for key in (*found.new, *found.changed) if "west" in key]

    # Its stand-ins go once their author has seen that it is gone.
    await until_found(nothing_of_west)
    after = await at_rest(changed)
    pair.meshctl("peer", "evict", "west", "--context", "east")
    refused = pair.tried("peer", "remove", "west")
    assert await at_rest(changed) == after, refused
    # It comes back.
    pair.revive()
    again = pair.tried("link", "east", "west")
    assert again.returncode == 1
    assert "west was evicted from east" in again.stderr
    pair.meshctl("peer", "evict", "--readmit", "west", "--context", "east")
    pair.meshctl("link", "east", "west", "--timeout", "240")
    await until_found(lambda: both_in_east(pair))


async def left_in_order(pair: Pair) -> None:
    hello = pair.hello
    call = f"sleep 0.1; curl -sS --max-time 5 http://{hello.host} || echo failed"
    with hello.asking(
        "east", f"end=$(($(date +%s) + {CALLING})); while [ $(date +%s) -lt $end ]; do {call}; done"
    ) as calling:
        said = pair.timed("leave", "--context", "west", *LONG)
        assert "acknowledged by east" in said
        await until_found(lambda: only_east_in_east(pair))
        peer = await hello.east.get(MESH_PEERS, "west")
        shown = next(one for one in peer.status.conditions if one.type == "Connected")
        since = shown.message.split(" on ")[1].split(";")[0]
        assert (shown.reason, shown.message) == ("Left", left_sentence("west", since=since))
        kept = "customresourcedefinitions.apiextensions.k8s.io serviceexports.multicluster.x-k8s.io"
        exports = f"serviceexports.multicluster.x-k8s.io {HOME}/hello"
        somebodys = Difference(new=(kept, exports))
        left = await pair.left("west", but=somebodys)
        assert left == somebodys, "the export is somebody's, and its kind is kept for it"
        assert "nothing of ours" in pair.timed("leave", "--context", "west")
        pair.timed("peer", "remove", "west", "--context", "east", *LONG)
        answers = calling.communicate()[0].splitlines()
        print(f"{len(answers)} calls while west left, {answers.count('failed')} failed")
        assert answers
        assert "failed" not in answers


async def uninstalled(pair: Pair) -> None:
    refused = pair.tried("uninstall", "--context", "east")
    assert f"exports {HOME}/hello" in refused.stderr
    for cluster in ("east", "west"):
        # Whose exports they are takes them away, and then their kind can go too.
        await pair.unexport(cluster)
        pair.timed("uninstall", "--context", cluster, *LONG)
        assert await pair.left(cluster) == Difference()
    assert "nothing of ours" in pair.timed("uninstall", "--context", "east")
