"""Leaving and uninstalling while all of the other side that could answer has been killed."""

from pathlib import Path

import pytest

from live.lifecycle.pair import Pair
from mesh_fakes.snapshot import Difference

pytestmark = pytest.mark.asyncio


async def linked_with_a_dead_one(pair: Pair, *, trust: Path) -> None:
    """East, which exports, and west, which called it and is no more."""
    for cluster in ("east", "west"):
        pair.join(cluster, trust=trust)
    pair.meshctl("link", "east", "west")
    await pair.hello.export("east")
    await pair.answers_from("west", source="east")
    pair.kill_member("west")


async def nothing_stays(pair: Pair) -> None:
    await pair.unexport("east")
    pair.timed("uninstall", "--context", "east")
    assert await pair.left("east") == Difference()


async def test_a_member_leaves_though_the_other_is_dead(pair: Pair, tmp_path: Path) -> None:
    await linked_with_a_dead_one(pair, trust=tmp_path / "trust")
    assert "west" in pair.timed("leave", "--context", "east")
    await nothing_stays(pair)


async def test_a_member_is_uninstalled_though_the_other_is_dead(pair: Pair, tmp_path: Path) -> None:
    await linked_with_a_dead_one(pair, trust=tmp_path / "trust")
    pair.timed("uninstall", "--force", "--context", "east")
    await nothing_stays(pair)
