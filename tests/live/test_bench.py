"""`meshctl bench` on two real clusters: it measures the mesh both ways and leaves nothing."""

import json

import pytest

from live.test_first_call import until
from live.test_verify import BOTH, nothing_left
from mesh_fakes.bed import Bed

pytestmark = pytest.mark.asyncio


async def test_the_mesh_is_measured_in_both_directions_and_nothing_stays(clusterset: Bed) -> None:
    words = ("--kubeconfig", str(clusterset.kubeconfig), "bench", *BOTH, "--seconds", "1", "-o", "json")
    seen = json.loads(clusterset.done(*words))
    by_way = {(one["from"], one["to"], one["way"]): one for one in seen["measured"]}
    for way in (("east", "west", "mesh"), ("west", "east", "mesh"), ("east", "east", "local")):
        figures = by_way[way]["figures"]
        print(way, json.dumps(figures))
        assert figures["roundTrips"] > 0
        assert figures["bitsPerSecond"] > 0
        assert figures["failed"] == 0
    # Each cluster has a network of its own here.
    assert by_way["east", "west", "direct"]["why"] == "they are on networks of their own"
    assert {one["cluster"] for one in seen["clusters"]} == {"east", "west"}
    await until(lambda: nothing_left(clusterset), limit=180)
