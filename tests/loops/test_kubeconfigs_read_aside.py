"""A kubeconfig that takes long to parse, and a hub that goes on meanwhile."""

import asyncio

import pytest

from mesh_placement.decide.kubeconfig import BadKubeconfig
from mesh_placement.hub.dial_in import read_aside

pytestmark = pytest.mark.asyncio

BRACKETS = b"a: [" + b"[]," * 21_000 + b"]"
"""As large as one may be."""


async def test_a_hub_goes_on_while_a_kubeconfig_of_brackets_is_parsed() -> None:
    reading = asyncio.ensure_future(read_aside(BRACKETS))
    turns = 0
    while not reading.done():
        turns += 1
        await asyncio.sleep(0.001)
    with pytest.raises(BadKubeconfig):
        await reading
    # Parsed by the loop itself it would have had one turn.
    assert turns > 5
