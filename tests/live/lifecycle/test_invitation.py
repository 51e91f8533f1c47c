"""`meshctl invite` and `meshctl accept` on two real clusters, which have nothing in common before."""

import time
from pathlib import Path

import pytest

from live.lifecycle.pair import Pair
from mesh_core.join_wire import JoinCode
from mesh_fakes.snapshot import Difference
from mesh_runtime.kube import MESH_PEERS

pytestmark = pytest.mark.asyncio

SOON = 20.0
"""Seconds until `accept` ends with a refusal, where the programs that ask are running."""


def invited(pair: Pair, *words: str) -> str:
    """The token."""
    return pair.meshctl("invite", "--context", "east", *words).strip()


def accepting(token: str) -> tuple[str, ...]:
    return "accept", token, "--context", "west", "--cluster-id", "west"


def refused(pair: Pair, token: str) -> tuple[str, float]:
    """What `accept` says, which must fail, and how many seconds it took."""
    began = time.monotonic()
    ended = pair.tried(*accepting(token), *pair.programs)
    took = time.monotonic() - began
    error = ended.stderr.splitlines()[-1]
    print(f"refused after {took:.1f} s: {error}")
    assert ended.returncode != 0, ended.stdout
    return error, took


async def test_a_token_is_good_once_and_an_uninstalled_cluster_comes_in_again_under_its_id(
    pair: Pair, tmp_path: Path
) -> None:
    pair.join("east", trust=tmp_path / "trust")
    first = invited(pair, "--trust", str(tmp_path / "trust"))
    pair.meshctl(*accepting(first), *pair.programs)
    await pair.hello.export("east")
    await pair.answers_from("west", source="east")
    met = await pair.hello.east.get(MESH_PEERS, "west")

    # West is uninstalled, and east hears nothing of it.
    pair.timed("uninstall", "--force", "--context", "west")
    assert await pair.left("west") == Difference()
    second = invited(pair)
    # This one installs the programs before they can ask.
    said, _ = refused(pair, first)
    assert JoinCode.INVITATION_USED.value in said
    said, took = refused(pair, second)
    assert JoinCode.CLUSTER_ID_TAKEN.value in said
    assert "meshctl peer remove west" in said
    assert took < SOON

    pair.timed("peer", "remove", "west", "--context", "east")
    pair.meshctl(*accepting(second), *pair.programs)
    await pair.answers_from("west", source="east")
    again = await pair.hello.east.get(MESH_PEERS, "west")
    assert again.spec.pool == met.spec.pool == "by-east"
    assert again.spec.key != met.spec.key, "its first key went with the first installation"
