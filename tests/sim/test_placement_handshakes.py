"""Random snapshots through a scheduler that asks members for handshakes first: what holds of every plan.

The variable SNAPSHOTS says how many, SEED where they begin; `make test-long` takes ten thousand.
"""

import os

import pytest

from mesh_fakes.probing_laws import LAWS, broken

_FIRST = int(os.environ.get("SEED", "0"))
_SEEDS = range(_FIRST, _FIRST + int(os.environ.get("SNAPSHOTS", "300")))


@pytest.mark.parametrize("law", LAWS)
def test_every_plan_that_asks_keeps_the_law(law: str) -> None:
    found = broken(law, _SEEDS)
    assert not found, "\n".join(found[:10])
