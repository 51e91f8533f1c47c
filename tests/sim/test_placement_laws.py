"""Random snapshots through the scheduler: what holds of every plan, whatever rules met.

The variable SNAPSHOTS says how many, SEED where they begin; `make test-long` takes ten thousand.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from mesh_fakes.placement_laws import LAWS, broken

_NUMBER = int(os.environ.get("SNAPSHOTS", "500"))
_FIRST = int(os.environ.get("SEED", "0"))
_BATCH = 50


@pytest.mark.parametrize("law", LAWS)
def test_every_plan_keeps_the_law(law: str) -> None:
    batches = [
        range(start, min(start + _BATCH, _FIRST + _NUMBER))
        for start in range(_FIRST, _FIRST + _NUMBER, _BATCH)
    ]
    found: list[str] = []
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for some in pool.map(broken, [law] * len(batches), batches):
            found += some
    assert not found, "\n".join(found[:10])
