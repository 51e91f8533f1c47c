"""Random histories of three clusters whose controllers are real; `mesh_fakes.sim_history` says what is asked.

A failure prints its seed and the shortest history that still fails. The variable HISTORIES says how many are
lived through, SEED where they begin: `HISTORIES=1 SEED=4711 pytest tests/sim` repeats one, and
`make test-long` lives through ten thousand.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from mesh_fakes.sim_history import explained, failures, weather_storm

_NUMBER = int(os.environ.get("HISTORIES", "100"))
_FIRST = int(os.environ.get("SEED", "1"))
_BATCH = 5


def test_every_history_ends_in_what_a_fresh_start_computes_and_nothing_is_lost_on_the_way() -> None:
    batches = [
        range(start, min(start + _BATCH, _FIRST + _NUMBER))
        for start in range(_FIRST, _FIRST + _NUMBER, _BATCH)
    ]
    failed: list[int] = []
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for found in pool.map(failures, batches):
            failed += found
            if len(failed) >= 3:
                pool.shutdown(cancel_futures=True)
                break
    assert not failed, f"seeds that fail: {failed}\n{explained(failed[0])}"


@pytest.mark.parametrize("seed", range(5))
def test_api_servers_that_misbehave_lead_to_no_write_at_all(seed: int) -> None:
    assert not any(weather_storm(seed).values())
